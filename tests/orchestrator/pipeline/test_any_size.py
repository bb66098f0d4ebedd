"""Every task at odd sizes, extreme aspects and the largest size: made in a bucket, enlarged; known pixels stay."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from backdrop.contract.expansion import Extent, Margins
from backdrop.contract.geometry import Size
from backdrop.contract.relighting import Relight
from backdrop.contract.shadows import Shadow
from orchestrator.repository import UPSCALER
from orchestrator.tasks import ALL
from tests.orchestrator.pipeline.bench import Bench
from tests.orchestrator.small import request
from tests.pictures import ellipse_mask, noisy_photo

SIZES = [(4096, 64), (64, 4096), (331, 517), (1999, 67)]
SAMPLED = {"variants": 1, "top_k": 1, "guidance_scale": 1.0, "steps": 1}
COMPUTED = {"variants": 1, "top_k": 1, "guidance_scale": 1.0, "steps": 0}


def options(task: str, width: int, height: int) -> tuple[dict[str, Any], Size]:
    """What a request of the task has whose picture is so large, and the size of the result."""
    size = Size(width, height)
    photo, mask = noisy_photo(width, height), ellipse_mask(width, height)
    match task:
        case "text_to_image":
            return {**SAMPLED, "size": size}, size
        case "expand":
            margins = Margins(0, 7, 0, 0) if height < width else Margins(3, 0, 0, 0)
            larger = Size(width + margins.left, height + margins.top)
            return {**SAMPLED, "photo": photo, "placement": Extent(margins), "size": larger}, larger
        case "upscale":
            return {**COMPUTED, "photo": photo, "placement": 2}, Size(2 * width, 2 * height)
        case "shadow":
            return {**COMPUTED, "photo": photo, "mask": mask, "placement": Shadow()}, size
        case "relight":
            return {**COMPUTED, "photo": photo, "mask": mask, "placement": Relight()}, size
        case "erase":
            return {**SAMPLED, "photo": photo, "mask": mask, "placement": 2}, size
    return {**SAMPLED, "photo": photo, "mask": mask}, size


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("task", ALL)
async def test_a_picture_of_any_size(tmp_path: Path, task: str, width: int, height: int) -> None:
    bench = Bench(tmp_path)
    changes, size = options(task, width, height)
    run = await bench.run(request(ALL[task], "small-large", **changes))
    with Image.open(io.BytesIO(run.best.data)) as picture:
        assert picture.size == (size.width, size.height)
    assert run.best.size == size
    if ALL[task].keeps_pixels:
        assert run.receipt.max_difference == 0
    # Models have no part in shadow and relight; the results of all others are larger than the bucket.
    assert (bench.models.rows(UPSCALER) > 0) is (task not in ("shadow", "relight"))


@pytest.mark.full
async def test_the_largest_picture(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    photo = np.zeros((4000, 4000, 3), np.uint8)
    photo[1000:1100, 1000:1100] = noisy_photo(100, 100)
    mask = np.zeros((4000, 4000), np.uint8)
    mask[1000:1100, 1000:1100] = 255
    run = await bench.run(request(ALL["background"], "small-large", **SAMPLED, photo=photo, mask=mask))
    assert (run.best.size, run.receipt.max_difference, run.receipt.compared_pixels) == (Size(4000, 4000), 0, 100 * 100)
    # 64 × 64 pixels once through the upscaler; resampling does the rest.
    assert bench.models.rows(UPSCALER) == 1

"""Score: what the reward model sees, and which of its heads count."""

from __future__ import annotations

import numpy as np
import pytest

from backdrop.contract.canvas import blank
from backdrop.contract.geometry import Size
from orchestrator.events import Scores
from orchestrator.imaging.frame import frame_of
from orchestrator.imaging.view import composite_view, view_of
from orchestrator.stages.score import score
from tests.orchestrator.imaging.frames import product_frame
from tests.orchestrator.small import HEADS, FunctionModels, request
from tests.orchestrator.stages.running import models_of
from tests.pictures import ellipse_mask, noisy_photo

POOLED = np.arange(6, dtype=np.float32)


async def scores(*judged_by: str, functions: FunctionModels | None = None) -> Scores:
    view = view_of(frame_of(blank(Size(64, 64)), [Size(64, 64)]), 8)
    decoded = np.full((3, 64, 64), 0.5, np.float32)
    return await score(decoded, view, POOLED, models_of(request(), functions or FunctionModels()), judged_by)


async def test_every_head_is_reported_in_the_pipelines_order() -> None:
    result = await scores()
    assert tuple(result.heads) == HEADS
    assert all(0 < value < 1 for value in result.heads.values())
    assert result.total == pytest.approx(np.mean(list(result.heads.values())))


async def test_heads_that_count_make_the_total() -> None:
    every = (await scores()).heads
    assert (await scores("aesthetics")).total == every["aesthetics"]
    pair = await scores("aesthetics", "defects")
    assert pair.judged_by == ("defects", "aesthetics"), "in the pipeline's order"
    assert pair.total == pytest.approx((every["aesthetics"] + every["defects"]) / 2)
    assert pair.heads == every


async def test_heads_that_the_reward_model_lacks_are_left_out() -> None:
    every = await scores()
    assert (await scores("realism", "defects")).total == every.heads["defects"]
    assert (await scores("realism")).total == every.total, "none remains, so all count"


async def test_the_reward_model_sees_the_known_pixels_over_the_scene() -> None:
    functions = FunctionModels()
    view = view_of(product_frame(noisy_photo(256, 256), ellipse_mask(256, 256)), 8)
    decoded = np.full((3, 256, 256), 3.0, np.float32)
    await score(decoded, view, POOLED, models_of(request(), functions))
    inputs = functions.inputs["reward"]
    assert np.array_equal(inputs["image"][0], composite_view(decoded, view))
    assert np.array_equal(inputs["mask"][0], view.mask)
    assert np.array_equal(inputs["text_embeds"][0], POOLED)

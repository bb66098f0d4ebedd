"""Segment: what the segmenter sees, how sure its alpha becomes, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from backdrop.errors import InvalidRequestError, Reason
from orchestrator.arrays import Bytes
from orchestrator.cache.lookups import RequestLookups
from orchestrator.stages.segment import segment, shrink, stretch
from tests.orchestrator.small import Array, DictCache, FunctionModels, request
from tests.orchestrator.stages.running import models_of
from tests.pictures import noisy_photo


class Alpha(FunctionModels):
    """A segmenter that answers one number everywhere."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    async def __call__(self, model: str, inputs: Mapping[str, Array], **named: Any) -> dict[str, Array]:
        outputs = await super().__call__(model, inputs, **named)
        return {"alpha": np.full_like(outputs["alpha"], self.value)} if model == "segmenter" else outputs


async def mask_of(picture: Bytes, functions: FunctionModels, cache: DictCache | None = None) -> Bytes:
    models = models_of(request(), functions)
    image = shrink(picture, models.pipeline.buckets)
    return stretch(await segment(image, models, RequestLookups(cache or DictCache())), "background.mask", picture)


async def test_the_segmenter_sees_the_picture_in_the_nearest_bucket() -> None:
    functions = FunctionModels()
    mask = await mask_of(noisy_photo(130, 100), functions)
    image = functions.inputs["segmenter"]["image"]
    assert image.shape == (1, 3, 48, 64)
    assert image.dtype == np.float32
    assert -1.0 <= image.min() < image.max() <= 1.0
    assert mask.shape == (100, 130)
    assert mask.dtype == np.uint8


@pytest.mark.parametrize(("alpha", "value"), [(1.0, 255), (0.9, 255), (0.49, 128), (0.1, 6)])
async def test_nearly_certain_alpha_is_made_certain(alpha: float, value: int) -> None:
    assert set(np.unique(await mask_of(noisy_photo(64, 64), Alpha(alpha)))) == {value}


@pytest.mark.parametrize("alpha", [0.0, 0.08])
async def test_a_picture_of_nothing_is_refused(alpha: float) -> None:
    with pytest.raises(InvalidRequestError, match="nothing was found") as caught:
        await mask_of(noisy_photo(64, 64), Alpha(alpha))
    assert (caught.value.reason, caught.value.field) == (Reason.INVALID_MASK, "background.mask")


async def test_a_picture_is_segmented_once() -> None:
    functions, cache = FunctionModels(), DictCache()
    first = await mask_of(noisy_photo(64, 64), functions, cache)
    assert np.array_equal(await mask_of(noisy_photo(64, 64), functions, cache), first)
    assert functions.rows("segmenter") == 1
    await mask_of(noisy_photo(64, 64, seed=1), functions, cache)
    assert functions.rows("segmenter") == 2

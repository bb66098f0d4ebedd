"""Relight: the product's border takes on the scene's colours, and the receipt says where and how much."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from backdrop import (
    AsyncClient,
    BorderChanges,
    InvalidRequestError,
    MaskSource,
    OverloadedError,
    Picture,
    Reason,
    Relight,
    Shadow,
    Stage,
    StageStarted,
    StepProgress,
)
from tests.contract.photos import HARD_MASK, HEIGHT, MASK, PHOTO, PRODUCT, WIDTH, Bytes, pixels, receipt_of
from tests.pictures import encoded

WARM = np.where(HARD_MASK[..., None] == 255, [60, 90, 160], [220, 150, 80]).astype(np.uint8)
"""A blue product on an orange scene."""
BAND = 5


def changes_of(picture: Picture) -> BorderChanges:
    changes = receipt_of(picture).changes
    assert changes is not None
    return changes


def inside(mask: Bytes, pixels: int) -> Bytes:
    """Where a square of so many pixels on every side is product."""
    padded = np.lib.stride_tricks.sliding_window_view(np.pad(mask, pixels), (2 * pixels + 1, 2 * pixels + 1))
    return np.asarray(padded.min(axis=(2, 3)))


async def test_the_border_comes_nearer_to_the_scene_and_nothing_else_changes(client: AsyncClient) -> None:
    best = (await client.generate(Relight(encoded(WARM), MASK, band=BAND))).best
    picture, product = pixels(best), HARD_MASK == 255
    assert picture.shape == (HEIGHT, WIDTH, 3)
    changed = (picture != WARM).any(axis=-1)
    assert changed.any()
    assert not changed[~product].any()
    assert not changed[inside(HARD_MASK, BAND) == 255].any()
    edge = product & (inside(HARD_MASK, 1) == 0)
    before, after = (np.abs(each[edge].astype(int) - WARM[0, 0]).mean() for each in (WARM, picture))
    assert after < 0.7 * before


async def test_the_receipt_maps_what_changed_and_compares_the_rest(client: AsyncClient) -> None:
    best = (await client.generate(Relight(PRODUCT, MASK, band=BAND))).best
    receipt, changes = receipt_of(best), changes_of(best)
    difference = np.abs(pixels(best).astype(int) - PHOTO).max(axis=-1)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(changes.map))), difference)
    assert changes.changed_pixels == np.count_nonzero(difference)
    assert changes.max_difference == difference.max() > 0
    assert changes.mean_difference == pytest.approx(difference.sum() / changes.band_pixels)
    assert (receipt.max_difference, receipt.mask_source) == (0, MaskSource.REQUEST)
    assert receipt.compared_pixels == WIDTH * HEIGHT - changes.band_pixels
    assert receipt.known_pixels == WIDTH * HEIGHT
    assert not receipt.exact


async def test_at_strength_zero_nothing_changes_and_the_receipt_is_exact(client: AsyncClient) -> None:
    best = (await client.generate(Relight(PRODUCT, MASK, strength=0.0))).best
    assert np.array_equal(pixels(best), PHOTO)
    assert changes_of(best).changed_pixels == changes_of(best).max_difference == 0
    assert receipt_of(best).exact


async def test_light_changes_the_whole_product_towards_the_scene(client: AsyncClient) -> None:
    best = (await client.generate(Relight(encoded(WARM), MASK, strength=0.0, light=1.0))).best
    picture, product = pixels(best), HARD_MASK == 255
    assert np.array_equal(picture[~product], WARM[~product])
    assert changes_of(best).band_pixels == product.sum()
    red, _, blue = picture[HEIGHT // 2, WIDTH // 2].astype(int) - WARM[HEIGHT // 2, WIDTH // 2]
    assert red > 0 > blue


async def test_no_step_is_taken_and_nothing_is_scored(client: AsyncClient) -> None:
    generation = client.generate(Relight(PRODUCT, MASK))
    events = [event async for event in generation]
    assert [event.stage for event in events if isinstance(event, StageStarted)] == [Stage.PREPARE, Stage.SELECT]
    assert not any(isinstance(event, StepProgress) for event in events)
    result = await generation
    assert (result.best.scores, result.usage.row_steps, result.settings.task) == (None, 0, "relight")


async def test_the_map_counts_when_a_picture_must_fit_into_the_caller_s_messages(endpoint: str) -> None:
    # As much as a picture of noise of this size may take, and not another channel.
    room = 3 * WIDTH * HEIGHT + (1 << 16) + HEIGHT + 1000
    async with AsyncClient(endpoint, retries=0, timeout_s=60.0, max_message_bytes=room) as client:
        await client.generate(Shadow(PRODUCT, MASK))
        with pytest.raises(OverloadedError) as caught:
            await client.generate(Relight(PRODUCT, MASK))
    assert caught.value.reason is Reason.MESSAGE_TOO_LARGE


async def test_without_a_mask_the_product_is_looked_for(client: AsyncClient) -> None:
    assert receipt_of((await client.generate(Relight(PRODUCT))).best).mask_source is MaskSource.SEGMENTER


@pytest.mark.parametrize(
    ("task", "options", "reason", "field"),
    [
        (Relight(PRODUCT, MASK), {"prompt": "a beach"}, Reason.FIELD_NOT_TAKEN, "conditioning.prompt"),
        (Relight(PRODUCT, MASK), {"variants": 2}, Reason.FIELD_NOT_TAKEN, "selection.variants"),
        (Relight(PRODUCT, MASK, band=0), {}, Reason.OUT_OF_RANGE, "relight.band"),
        (Relight(PRODUCT, MASK, band=65), {}, Reason.OUT_OF_RANGE, "relight.band"),
        (Relight(PRODUCT, MASK, strength=1.5), {}, Reason.OUT_OF_RANGE, "relight.strength"),
        (Relight(PRODUCT, MASK, light=float("nan")), {}, Reason.OUT_OF_RANGE, "relight.light"),
        (Relight(PRODUCT, encoded(np.zeros_like(HARD_MASK))), {}, Reason.INVALID_MASK, "relight.mask"),
        (Relight(PRODUCT, encoded(np.full_like(HARD_MASK, 255))), {}, Reason.INVALID_MASK, "relight.mask"),
        (Relight(b"no picture", MASK), {}, Reason.INVALID_PICTURE, "relight.picture"),
    ],
)
async def test_what_it_does_not_take_is_refused(
    client: AsyncClient, task: Relight, options: dict[str, Any], reason: Reason, field: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await client.generate(task, **options)
    assert (caught.value.reason, caught.value.field) == (reason, field)

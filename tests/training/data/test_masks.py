"""The masks of stage 1, kind by kind; crops of pictures and their masks."""

from __future__ import annotations

import numpy as np
import pytest

from training.config import Config
from training.data import masks, pictures, shards

PRODUCT = np.zeros((64, 48), np.float32)
PRODUCT[20:50, 18:30] = 1


@pytest.mark.parametrize("kind", masks.KINDS)
def test_a_mask_is_made_of_known_and_missing_parts(kind: str) -> None:
    for seed in range(20):
        mask = masks.draw(kind, np.random.default_rng(seed), PRODUCT)
        assert mask.shape == PRODUCT.shape
        assert mask.dtype == np.float32
        assert mask.min() >= 0
        assert mask.max() <= 1
    shares = [masks.draw(kind, np.random.default_rng(seed), PRODUCT).mean() for seed in range(60)]
    assert 0.05 < np.mean(shares) < 0.8, "neither everything nor nothing"


def test_a_border_mask_keeps_one_rectangle() -> None:
    margins = []
    for seed in range(80):
        known = 1 - masks.border_mask(np.random.default_rng(seed), 64, 48)
        rows, columns = np.flatnonzero(known.any(1)), np.flatnonzero(known.any(0))
        inside = known[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert inside.all()
        assert known.sum() == inside.size < known.size, "at least one side is to be made"
        assert len(rows) >= 12
        assert len(columns) >= 9
        margins += [rows[0], 63 - rows[-1]]
    assert max(margins) >= 32, "half of a picture is asked for often"


@pytest.mark.parametrize("draw", [masks.object_mask, masks.hole_mask])
def test_places_and_holes_cover_the_object_and_a_rim(draw: masks.ObjectMask) -> None:
    shares = []
    for seed in range(40):
        mask = draw(np.random.default_rng(seed), PRODUCT)
        assert (mask[PRODUCT > 0] == 1).all()
        shares.append(mask.sum() / PRODUCT.sum())
    assert min(shares) > 1
    assert max(shares) > 1.2 * min(shares), "rims of many widths"


def test_without_an_object_there_is_a_place_and_no_hole() -> None:
    nothing = np.zeros_like(PRODUCT)
    assert masks.object_mask(np.random.default_rng(3), nothing).any()
    assert not masks.hole_mask(np.random.default_rng(3), nothing).any()


def test_crops_are_windows_of_pictures_and_their_masks(tiny: Config) -> None:
    scenes = shards.load(tiny, "scene")
    whole, masks_of = scenes.at(np.arange(len(scenes)))
    image, mask = pictures.draw_crops(scenes, np.random.default_rng(3), 4, 32)
    assert image.shape == (4, 3, 32, 32)
    assert mask.shape == (4, 1, 32, 32)
    first = (image[0].permute(1, 2, 0).numpy() * 127.5 + 127.5).round().astype(np.uint8)
    windows = np.lib.stride_tricks.sliding_window_view(whole, (32, 32), axis=(1, 2))
    place = np.argwhere((windows == first.transpose(2, 0, 1)).all(axis=(3, 4, 5)))
    assert len(place) >= 1, "the crop is somewhere in one of the pictures"
    number, top, left = place[0]
    cover = masks_of[number, top : top + 32, left : left + 32] / 255
    assert np.allclose(mask[0, 0].numpy(), 1 - cover, atol=1e-6)

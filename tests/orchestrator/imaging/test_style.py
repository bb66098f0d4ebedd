"""Style pictures as the encoders see them: the middle square, of one size, without transparency."""

import numpy as np
import pytest

from orchestrator.imaging.decode import Photo
from orchestrator.imaging.style import SIDE, style_pixels, to_model
from tests.pictures import noisy_photo


def test_a_picture_of_the_right_size_keeps_every_pixel() -> None:
    photo = noisy_photo(SIDE, SIDE)
    assert np.array_equal(style_pixels(Photo(photo, None)), photo)


@pytest.mark.parametrize(("width", "height"), [(3 * SIDE, SIDE), (SIDE, 3 * SIDE), (SIDE + 2, SIDE)])
def test_of_a_longer_picture_the_middle_counts(width: int, height: int) -> None:
    photo = noisy_photo(width, height)
    top, left = (height - SIDE) // 2, (width - SIDE) // 2
    assert np.array_equal(style_pixels(Photo(photo, None)), photo[top : top + SIDE, left : left + SIDE])


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 500), (70, 50), (1000, 700)])
def test_any_size_becomes_the_same(width: int, height: int) -> None:
    plain = np.full((height, width, 3), (10, 120, 250), np.uint8)
    pixels = style_pixels(Photo(plain, None))
    assert pixels.shape == (SIDE, SIDE, 3)
    assert pixels.dtype == np.uint8
    assert (pixels == (10, 120, 250)).all()


def test_transparent_parts_lie_over_mid_grey() -> None:
    photo = np.full((SIDE, SIDE, 3), 200, np.uint8)
    alpha = np.zeros((SIDE, SIDE), np.uint8)
    alpha[:, : SIDE // 2] = 255
    pixels = style_pixels(Photo(photo, alpha))
    assert (pixels[:, : SIDE // 2] == 200).all()
    assert (pixels[:, SIDE // 2 :] == 128).all()


def test_models_see_minus_one_to_one() -> None:
    pixels = np.zeros((4, 4, 3), np.uint8)
    pixels[0, 1] = (255, 0, 127)
    image = to_model(pixels)
    assert (image.shape, image.dtype) == ((3, 4, 4), np.float32)
    np.testing.assert_allclose(image[:, 0, 1], [1, -1, -0.0039216], atol=1e-6)

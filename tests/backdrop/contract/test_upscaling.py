"""Upscaling: factors, sizes, and the alpha channel, whose hidden colours do not reach the outline."""

from __future__ import annotations

import numpy as np
import pytest

from backdrop.contract.geometry import Size
from backdrop.contract.parts import OutputFormat
from backdrop.contract.pictures import Photo
from backdrop.contract.upscaling import read_factor, upscaled_canvas, upscaled_size, with_alpha
from backdrop.errors import InvalidRequestError, Reason
from backdrop.v1 import generation_service_pb2 as pb
from tests.pictures import noisy_photo


def test_two_is_the_default_and_four_the_other_factor() -> None:
    assert [read_factor(pb.UpscaleTask(factor=factor)) for factor in (0, 2, 4)] == [2, 2, 4]
    for factor in (1, 3, 8):
        with pytest.raises(InvalidRequestError, match="must be 2 or 4") as caught:
            read_factor(pb.UpscaleTask(factor=factor))
        assert (caught.value.reason, caught.value.field) == (Reason.OUT_OF_RANGE, "upscale.factor")


def test_the_result_has_a_limit_of_pixels_and_of_its_sides() -> None:
    assert upscaled_size(4, Size(2048, 1), 16_000_000) == Size(8192, 4)
    for factor, picture in ((4, Size(2049, 1)), (2, Size(2001, 2000))):
        with pytest.raises(InvalidRequestError) as caught:
            upscaled_size(factor, picture, 16_000_000)
        assert (caught.value.reason, caught.value.field) == (Reason.INVALID_SIZE, "upscale.factor")


def test_the_picture_is_the_scene_of_a_larger_canvas() -> None:
    canvas = upscaled_canvas(noisy_photo(5, 3), 4)
    assert canvas.size == Size(20, 12)
    assert canvas.scene is not None
    assert canvas.scene.shape == (3, 5, 3)
    assert canvas.kept is None


def test_alpha_is_kept_unless_the_result_cannot_have_it() -> None:
    rgb, alpha = noisy_photo(5, 3), np.arange(15, dtype=np.uint8).reshape(3, 5)
    both, notes = with_alpha(Photo(rgb, alpha), OutputFormat.PNG, "upscale.picture")
    assert (both[..., 3] == alpha).all()
    assert (both[..., :3][alpha > 0] == rgb[alpha > 0]).all()
    assert notes == ()
    flat, notes = with_alpha(Photo(rgb, alpha), OutputFormat.JPEG, "upscale.picture")
    assert flat is rgb
    assert [each.reason for each in notes] == ["ALPHA_IGNORED"]
    opaque, notes = with_alpha(Photo(rgb, None), OutputFormat.PNG, "upscale.picture")
    assert opaque is rgb
    assert notes == ()


def test_hidden_colours_near_an_outline_are_those_that_can_be_seen() -> None:
    rgb, alpha = np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64), np.uint8)
    rgb[:] = (0, 255, 0)  # what an editor may leave behind
    rgb[20:41, 20:41], alpha[20:41, 20:41] = (200, 40, 90), 255
    spread, _ = with_alpha(Photo(rgb, alpha), OutputFormat.PNG, "upscale.picture")
    around = spread[14:47, 14:47, :3].astype(int)
    assert np.abs(around - (200, 40, 90)).max() <= 4

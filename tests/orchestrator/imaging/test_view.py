"""What models see of a frame: the convention of diffusers' inpainting pipelines, at the scene's size."""

from __future__ import annotations

import numpy as np
import pytest

from backdrop.contract.canvas import Canvas, blank
from backdrop.contract.geometry import Rect, Size
from orchestrator.imaging.frame import frame_of
from orchestrator.imaging.view import composite_view, start_of, view_of
from tests.orchestrator.imaging.frames import BUCKETS, product_frame
from tests.pictures import ellipse_mask, noisy_photo


def test_the_view_follows_the_mask_convention() -> None:
    photo, mask = np.full((256, 256, 3), 255, np.uint8), np.zeros((256, 256), np.uint8)
    mask[64:128, 64:128] = 255
    view = view_of(product_frame(photo, mask), 8)
    assert view.size == Size(256, 256)
    assert view.mask.shape == (1, 256, 256)
    assert view.latent_mask.shape == (1, 32, 32)
    assert view.mask[0, 0, 0] == 1.0
    assert view.mask[0, 100, 100] == 0.0
    assert view.known[:, 100, 100].tolist() == [1.0] * 3
    assert view.known[:, 0, 0].tolist() == [0.0] * 3
    assert view.latent_mask[0, 8:16, 8:16].max() == 0.0
    assert view.latent_mask.mean() == pytest.approx(1 - 64 * 64 / 256**2)


def test_arrays_are_what_models_read() -> None:
    view = view_of(product_frame(np.zeros((90, 70, 3), np.uint8), ellipse_mask(70, 90, soft=True)), 8)
    for array in (view.known, view.mask, view.latent_mask):
        assert array.dtype == np.float32
        assert array.flags.c_contiguous


def test_known_pixels_are_premultiplied_at_soft_edges() -> None:
    photo, mask = np.full((256, 256, 3), 255, np.uint8), np.full((256, 256), 51, np.uint8)
    mask[0, 0] = 255
    view = view_of(product_frame(photo, mask), 8)
    np.testing.assert_allclose(view.known[:, 9, 9], 0.2, atol=1e-6)
    np.testing.assert_allclose(view.mask[:, 9, 9], 0.8, atol=1e-6)


def test_of_a_blank_frame_everything_is_made_of_mid_grey() -> None:
    view = view_of(frame_of(blank(Size(512, 384)), BUCKETS), 8)
    assert view.size == Size(256, 192)
    assert (view.mask == 1.0).all()
    assert (view.latent_mask == 1.0).all()
    assert not view.known.any()


def test_noise_starts_from_the_whole_picture_its_border_repeated() -> None:
    photo = np.zeros((256, 144, 3), np.uint8)
    photo[:, :72] = (255, 0, 0)
    frame = frame_of(Canvas(photo, ellipse_mask(144, 256), None), BUCKETS)
    assert (frame.tiling.scene, frame.inset) == (Size(192, 256), Rect(24, 0, 144, 256))
    start = start_of(frame)
    assert start.shape == (3, 256, 192)
    assert start.dtype == np.float32
    assert start.flags.c_contiguous
    # The canvas is the middle of the bucket: what is to be made in it is seen too.
    assert start[:, 100, 24].tolist() == [1.0, -1.0, -1.0]
    assert start[:, 100, 167].tolist() == [-1.0, -1.0, -1.0]
    assert (start[:, :, :24] == start[:, :, 24:25]).all()
    assert (start[:, :, 168:] == start[:, :, 167:168]).all()


def test_noise_in_a_hole_starts_from_the_colours_around_it() -> None:
    photo, make = np.zeros((256, 256, 3), np.uint8), np.zeros((256, 256), np.uint8)
    photo[:, :128], photo[:, 128:] = (250, 10, 10), (10, 10, 250)
    make[96:160, 32:224] = 255
    photo[make == 255] = (0, 255, 0)  # what is erased
    start = (start_of(frame_of(Canvas(photo, make, None, continues=True), BUCKETS)) + 1) * 127.5
    assert start[1].max() == pytest.approx(10, abs=1), "nothing of what is erased"
    assert start[:, 128, 40] == pytest.approx([250, 10, 10], abs=40)
    assert start[:, 128, 215] == pytest.approx([10, 10, 250], abs=40)
    np.testing.assert_allclose(start[:, :96], photo.transpose(2, 0, 1)[:, :96], atol=0.01)


def test_noise_starts_from_the_picture_where_nothing_is_known() -> None:
    photo = noisy_photo(256, 256)
    frame = frame_of(Canvas(photo, np.full((256, 256), 255, np.uint8), None, continues=True), BUCKETS)
    np.testing.assert_allclose((start_of(frame) + 1) * 127.5, photo.transpose(2, 0, 1), atol=0.01)


def test_the_composite_shows_the_product_over_the_clipped_scene() -> None:
    photo, mask = np.zeros((256, 256, 3), np.uint8), ellipse_mask(256, 256)
    photo[...] = (250, 10, 10)
    view = view_of(product_frame(photo, mask), 8)
    joined = composite_view(np.full((3, 256, 256), 7.0, np.float32), view)
    assert joined[:, 128, 128] == pytest.approx([250 / 127.5 - 1, 10 / 127.5 - 1, 10 / 127.5 - 1], abs=1e-5)
    assert joined[:, 0, 0].tolist() == [1.0] * 3

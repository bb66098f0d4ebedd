"""Enlargement, compositing and encoding: known pixels come out as they went in, for any size and placement."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from backdrop.contract.geometry import Size
from backdrop.contract.parts import OutputFormat
from orchestrator.imaging.finish import composite, encode, enlarge, to_bytes
from orchestrator.imaging.frame import blank, frame_of
from tests.orchestrator.imaging.frames import BUCKETS, finished, product_frame
from tests.pictures import ellipse_mask, noisy_photo


@settings(max_examples=40, deadline=None)
@given(width=st.integers(3, 90), height=st.integers(3, 90), seed=st.integers(0, 9), soft=st.booleans())
def test_unplaced_product_keeps_its_bytes(width: int, height: int, seed: int, soft: bool) -> None:
    photo, mask = noisy_photo(width, height, seed), ellipse_mask(width, height, soft)
    mask[height // 2, width // 2] = 255
    data = encode(finished(product_frame(photo, mask)), OutputFormat.PNG)
    out = np.asarray(Image.open(io.BytesIO(data)))
    assert out.shape == photo.shape
    assert (out[mask == 255] == photo[mask == 255]).all()


def test_soft_edges_are_mixed() -> None:
    photo, mask = np.full((4, 4, 3), 200, np.uint8), np.zeros((4, 4), np.uint8)
    mask[1, 1], mask[1, 2] = 255, 51
    mixed = composite(np.full((4, 4, 3), 100, np.uint8), product_frame(photo, mask))
    assert mixed[1].tolist() == [[100] * 3, [200] * 3, [120] * 3, [100] * 3]


def test_where_nothing_is_known_the_made_pixels_are_the_picture() -> None:
    frame = frame_of(*blank(Size(20, 30)), None, BUCKETS)
    scene = noisy_photo(20, 30)
    assert (composite(scene, frame) == scene).all()


def test_bytes_are_rounded_and_clipped() -> None:
    picture = np.array([-2.0, -1.0, -0.9999, 0.0, 0.0039, 1.0, 3.0], np.float32).reshape(1, 1, -1).repeat(3, 0)
    assert to_bytes(picture)[0, :, 0].tolist() == [0, 0, 0, 128, 128, 255, 255]
    assert to_bytes(picture).shape == (1, 7, 3)


def test_what_the_bucket_shows_beyond_the_canvas_is_cropped_off() -> None:
    frame = frame_of(*blank(Size(64, 256)), None, BUCKETS)
    assert (frame.bucket, frame.inset.width) == (Size(192, 256), 64)
    decoded = np.full((3, 256, 192), -1.0, np.float32)
    decoded[:, :, frame.inset.x : frame.inset.x + frame.inset.width] = 1.0
    assert (enlarge(decoded, frame) == 255).all()
    assert enlarge(decoded, frame).shape == (256, 64, 3)


@pytest.mark.parametrize("output_format", OutputFormat)
def test_pictures_are_encoded_as_asked_without_metadata(output_format: OutputFormat) -> None:
    image = Image.open(io.BytesIO(encode(noisy_photo(40, 30), output_format)))
    assert (image.format, image.mode, image.size) == (output_format.value, "RGB", (40, 30))
    assert not image.getexif()
    assert not {"exif", "icc_profile", "xmp", "comment"} & set(image.info)

"""Compositing and encoding: known pixels come out as they went in, whatever the size."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from backdrop.contract.canvas import blank
from backdrop.contract.finishing import composite, encode
from backdrop.contract.geometry import Size
from backdrop.contract.parts import OutputFormat
from tests.backdrop.contract.products import finished, product_canvas
from tests.pictures import ellipse_mask, noisy_photo


@settings(max_examples=40, deadline=None)
@given(width=st.integers(3, 90), height=st.integers(3, 90), seed=st.integers(0, 9), soft=st.booleans())
def test_unplaced_product_keeps_its_bytes(width: int, height: int, seed: int, soft: bool) -> None:
    photo, mask = noisy_photo(width, height, seed), ellipse_mask(width, height, soft)
    mask[height // 2, width // 2] = 255
    data = encode(finished(product_canvas(photo, mask)), OutputFormat.PNG)
    out = np.asarray(Image.open(io.BytesIO(data)))
    assert out.shape == photo.shape
    assert (out[mask == 255] == photo[mask == 255]).all()


def test_soft_edges_are_mixed() -> None:
    photo, mask = np.full((4, 4, 3), 200, np.uint8), np.zeros((4, 4), np.uint8)
    mask[1, 1], mask[1, 2] = 255, 51
    mixed = composite(np.full((4, 4, 3), 100, np.uint8), product_canvas(photo, mask))
    assert mixed[1].tolist() == [[100] * 3, [200] * 3, [120] * 3, [100] * 3]


def test_where_nothing_is_known_the_made_pixels_are_the_picture() -> None:
    scene = noisy_photo(20, 30)
    assert (composite(scene, blank(Size(20, 30))) == scene).all()


@pytest.mark.parametrize("output_format", OutputFormat)
def test_pictures_are_encoded_as_asked_without_metadata(output_format: OutputFormat) -> None:
    image = Image.open(io.BytesIO(encode(noisy_photo(40, 30), output_format)))
    assert (image.format, image.mode, image.size) == (output_format.value, "RGB", (40, 30))
    assert not image.getexif()
    assert not {"exif", "icc_profile", "xmp", "comment"} & set(image.info)

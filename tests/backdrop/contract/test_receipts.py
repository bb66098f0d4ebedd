"""The receipt: what it says can be recomputed from the delivered bytes and what was sent."""

from __future__ import annotations

import hashlib
import io

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from backdrop.contract.canvas import Canvas, MaskSource, blank
from backdrop.contract.cutouts import resize_cutout
from backdrop.contract.finishing import encode
from backdrop.contract.geometry import Fit, Rect, Size, bounding_box
from backdrop.contract.parts import OutputFormat
from backdrop.contract.receipts import Receipt, receipt
from tests.backdrop.contract.products import finished, product_canvas
from tests.pictures import ellipse_mask, noisy_photo


def proof_of(data: bytes, canvas: Canvas) -> Receipt:
    proof = receipt(data, canvas)
    assert proof is not None
    return proof


@settings(max_examples=40, deadline=None)
@given(
    width=st.integers(20, 90), height=st.integers(20, 90), out_width=st.integers(64, 300),
    out_height=st.integers(64, 300), padding=st.floats(0, 0.45), soft=st.booleans(),
)  # fmt: skip
def test_placed_product_is_exact_and_the_receipt_can_be_recomputed(
    width: int, height: int, out_width: int, out_height: int, padding: float, soft: bool
) -> None:
    photo, mask = noisy_photo(width, height), ellipse_mask(width, height, soft)
    canvas = product_canvas(photo, mask, Size(out_width, out_height), Fit(padding))
    data = encode(finished(canvas), OutputFormat.PNG)
    proof = proof_of(data, canvas)
    # Recomputed from the bytes and the inputs alone, as a caller would.
    box, cutout = proof.kept.box, bounding_box(mask)
    assert cutout is not None
    cut = np.s_[cutout.y : cutout.y + cutout.height, cutout.x : cutout.x + cutout.width]
    placed = np.dstack([photo[cut], mask[cut]])
    if not proof.kept.unscaled:
        placed = resize_cutout(placed, Size(box.width, box.height))
    out = np.asarray(Image.open(io.BytesIO(data)))[box.y : box.y + box.height, box.x : box.x + box.width]
    opaque = placed[..., 3] == 255
    assert proof.compared_pixels == opaque.sum()
    assert (out[opaque] == placed[..., :3][opaque]).all()
    assert proof.max_difference == 0
    make = np.full((out_height, out_width), 255, np.uint8)
    make[box.y : box.y + box.height, box.x : box.x + box.width] = 255 - placed[..., 3]
    assert proof.mask_digest == "sha256:" + hashlib.sha256(make.tobytes()).hexdigest()


def test_lossy_formats_report_their_difference() -> None:
    canvas = product_canvas(noisy_photo(80, 60), ellipse_mask(80, 60))
    for kind in (OutputFormat.JPEG, OutputFormat.WEBP):
        assert proof_of(encode(finished(canvas), kind), canvas).max_difference > 0


def test_one_altered_pixel_shows() -> None:
    photo, mask = noisy_photo(40, 40), ellipse_mask(40, 40)
    canvas = product_canvas(photo, mask)
    picture = finished(canvas)
    picture[20, 20, 1] ^= 0x08
    assert proof_of(encode(picture, OutputFormat.PNG), canvas).max_difference == 8
    picture = finished(canvas)
    picture[0, 0] ^= 0xFF  # a made pixel: nothing is promised of it
    assert proof_of(encode(picture, OutputFormat.PNG), canvas).max_difference == 0


def test_soft_edges_are_said_to_be_soft() -> None:
    photo, mask = noisy_photo(40, 40), ellipse_mask(40, 40)
    hard = product_canvas(photo, mask)
    assert not proof_of(encode(finished(hard), OutputFormat.PNG), hard).soft
    mask[0, 0] = 51
    soft = product_canvas(photo, mask)
    proof = proof_of(encode(finished(soft), OutputFormat.PNG), soft)
    assert proof.soft
    assert proof.compared_pixels == (mask == 255).sum(), "pixels of the edge are mixed, so not compared"


def test_it_says_where_the_known_pixels_are_and_whence_the_mask() -> None:
    photo, mask = noisy_photo(40, 40), np.zeros((40, 40), np.uint8)
    mask[10:20, 5:35] = 255
    canvas = product_canvas(photo, mask)
    kept = proof_of(encode(finished(canvas), OutputFormat.PNG), canvas).kept
    assert (kept.box, kept.unscaled, kept.mask_source) == (Rect(5, 10, 30, 10), True, MaskSource.REQUEST)


def test_where_nothing_is_known_there_is_no_receipt() -> None:
    assert receipt(encode(noisy_photo(20, 30), OutputFormat.PNG), blank(Size(20, 30))) is None

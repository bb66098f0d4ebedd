"""Compositing and receipts: the product's pixels come out as they went in, for any size and placement."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from orchestrator.domain import Fit, MaskSource, OutputFormat, Size
from orchestrator.imaging.canvas import Canvas, build_canvas, build_scene_input, resize_cutout
from orchestrator.imaging.output import composite, composite_at_bucket, encode, enlarge, preview, receipt
from orchestrator.imaging.placement import Scene, bounding_box, choose_scene, place
from tests.pictures import ellipse_mask, noisy_photo

BUCKETS = [(256, 256), (192, 256), (256, 192)]
MASKED = MaskSource.REQUEST


def finished(canvas: Canvas, output_format: OutputFormat = OutputFormat.PNG) -> bytes:
    scene = choose_scene(canvas.size, BUCKETS)
    decoded = np.random.default_rng(5).normal(0, 0.7, (3, scene.bucket.height, scene.bucket.width))
    return encode(composite(enlarge(decoded.astype(np.float32), scene, canvas.size), canvas), output_format)


@settings(max_examples=40, deadline=None)
@given(width=st.integers(3, 90), height=st.integers(3, 90), seed=st.integers(0, 9), soft=st.booleans())
def test_unplaced_product_keeps_its_bytes(width: int, height: int, seed: int, soft: bool) -> None:
    photo, mask = noisy_photo(width, height, seed), ellipse_mask(width, height, soft)
    mask[height // 2, width // 2] = 255
    cutout = bounding_box(mask)
    assert cutout is not None
    data = finished(build_canvas(photo, mask, cutout, Size(width, height), cutout))
    out = np.asarray(Image.open(io.BytesIO(data)))
    assert out.shape == photo.shape
    assert (out[mask == 255] == photo[mask == 255]).all()


@settings(max_examples=40, deadline=None)
@given(
    width=st.integers(20, 90), height=st.integers(20, 90), out_width=st.integers(64, 300),
    out_height=st.integers(64, 300), padding=st.floats(0, 0.45), soft=st.booleans(),
)  # fmt: skip
def test_placed_product_is_exact_and_the_receipt_can_be_recomputed(
    width: int, height: int, out_width: int, out_height: int, padding: float, soft: bool
) -> None:
    photo, mask, size = noisy_photo(width, height), ellipse_mask(width, height, soft), Size(out_width, out_height)
    cutout = bounding_box(mask)
    assert cutout is not None
    canvas = build_canvas(photo, mask, cutout, size, place(cutout, size, Fit(padding)))
    data = finished(canvas)
    proof = receipt(data, canvas, MASKED)
    # Recomputed from the bytes and the inputs alone, as a caller would.
    box = proof.product_box
    cut = np.s_[cutout.y : cutout.y + cutout.height, cutout.x : cutout.x + cutout.width]
    placed = np.dstack([photo[cut], mask[cut]])
    if not proof.unscaled:
        placed = resize_cutout(placed, Size(box.width, box.height))
    out = np.asarray(Image.open(io.BytesIO(data)))[box.y : box.y + box.height, box.x : box.x + box.width]
    opaque = placed[..., 3] == 255
    assert proof.compared_pixels == opaque.sum()
    assert (out[opaque] == placed[..., :3][opaque]).all()
    assert proof.max_difference == 0


def test_lossy_formats_report_their_difference() -> None:
    photo, mask = noisy_photo(80, 60), ellipse_mask(80, 60)
    cutout = bounding_box(mask)
    assert cutout is not None
    canvas = build_canvas(photo, mask, cutout, Size(80, 60), cutout)
    for kind in (OutputFormat.JPEG, OutputFormat.WEBP):
        proof = receipt(finished(canvas, kind), canvas, MASKED)
        assert proof.max_difference > 0


def test_soft_edges_are_mixed_and_said_to_be() -> None:
    photo, mask = np.full((4, 4, 3), 200, np.uint8), np.zeros((4, 4), np.uint8)
    mask[1, 1], mask[1, 2] = 255, 51
    cutout = bounding_box(mask)
    assert cutout is not None
    canvas = build_canvas(photo, mask, cutout, Size(4, 4), cutout)
    mixed = composite(np.full((4, 4, 3), 100, np.uint8), canvas)
    assert mixed[1].tolist() == [[100] * 3, [200] * 3, [120] * 3, [100] * 3]
    assert receipt(encode(mixed, OutputFormat.PNG), canvas, MASKED).soft


def test_colours_outside_the_mask_do_not_bleed_into_a_resized_product() -> None:
    rgba = np.zeros((40, 40, 4), np.uint8)
    rgba[...] = (255, 0, 0, 0)  # red, but outside the mask
    rgba[10:30, 10:30] = (0, 0, 255, 255)
    small = resize_cutout(rgba, Size(13, 13))
    assert small[..., 0][small[..., 3] > 0].max() == 0


def test_scene_input_follows_the_mask_convention() -> None:
    photo, mask = np.full((256, 256, 3), 255, np.uint8), np.zeros((256, 256), np.uint8)
    mask[64:128, 64:128] = 255
    cutout = bounding_box(mask)
    assert cutout is not None
    canvas = build_canvas(photo, mask, cutout, Size(256, 256), cutout)
    scene_input = build_scene_input(canvas, choose_scene(canvas.size, BUCKETS), 8)
    assert scene_input.mask.shape == (1, 256, 256)
    assert scene_input.latent_mask.shape == (1, 32, 32)
    assert scene_input.mask[0, 0, 0] == 1.0
    assert scene_input.mask[0, 100, 100] == 0.0
    assert scene_input.product[:, 100, 100].tolist() == [1.0] * 3
    assert scene_input.product[:, 0, 0].tolist() == [0.0] * 3
    assert scene_input.latent_mask[0, 8:16, 8:16].max() == 0.0
    assert scene_input.latent_mask.mean() == pytest.approx(1 - 64 * 64 / 256**2)


def test_bucket_composite_and_preview_show_the_product() -> None:
    photo, mask = np.zeros((256, 256, 3), np.uint8), ellipse_mask(256, 256)
    photo[...] = (250, 10, 10)
    cutout = bounding_box(mask)
    assert cutout is not None
    canvas = build_canvas(photo, mask, cutout, Size(256, 256), cutout)
    scene: Scene = choose_scene(canvas.size, BUCKETS)
    scene_input = build_scene_input(canvas, scene, 8)
    joined = composite_at_bucket(np.full((3, 256, 256), 7.0, np.float32), scene_input)
    assert joined[:, 128, 128] == pytest.approx([250 / 127.5 - 1, 10 / 127.5 - 1, 10 / 127.5 - 1], abs=1e-5)
    assert joined[:, 0, 0].tolist() == [1.0] * 3
    jpeg = preview(
        np.zeros((4, 32, 32), np.float32), scene_input, np.zeros((4, 3), np.float32),
        np.array([0.0, 0.0, 1.0], np.float32), 8,
    )  # fmt: skip
    seen = np.asarray(Image.open(io.BytesIO(jpeg)))
    assert seen.shape == (128, 128, 3)
    assert abs(seen[64, 64].astype(int) - [250, 10, 10]).max() < 16
    assert abs(seen[2, 2].astype(int) - [0, 0, 255]).max() < 16

"""Scenes out of the decoder to finished pictures: compositing, encoding, and the receipt of the product."""

from __future__ import annotations

import hashlib
import io

import numpy as np
from PIL import Image

from orchestrator.domain import Bytes, Floats, MaskSource, OutputFormat, Receipt, Size
from orchestrator.imaging.canvas import Canvas, SceneInput
from orchestrator.imaging.placement import Scene

# zlib level 6 halves the time of Pillow's "optimize" for a few per cent of size; JPEG and WebP as the contract says.
_SAVE_OPTIONS: dict[OutputFormat, dict[str, object]] = {
    OutputFormat.PNG: {"compress_level": 6},
    OutputFormat.JPEG: {"quality": 92, "subsampling": 0},
    OutputFormat.WEBP: {"quality": 90, "method": 4},
}


def to_bytes(picture: Floats) -> Bytes:
    """[3, H, W] in −1…1 to [H, W, 3] in 0…255, rounded."""
    rounded: Bytes = np.rint((np.clip(picture, -1.0, 1.0) + 1.0) * 127.5).astype(np.uint8)
    return rounded.transpose(1, 2, 0)


def enlarge(decoded: Floats, scene: Scene, size: Size) -> Bytes:
    """Crops the canvas out of a decoded bucket [3, H, W] and resamples it (Lanczos) to `size`: [H, W, 3]."""
    inner = scene.canvas
    box = (inner.x, inner.y, inner.x + inner.width, inner.y + inner.height)
    image = Image.fromarray(np.ascontiguousarray(to_bytes(decoded)))
    return np.array(image.resize((size.width, size.height), Image.Resampling.LANCZOS, box=box))


def composite(scene: Bytes, canvas: Canvas) -> Bytes:
    """Puts the product over the scene: opaque pixels are copied, edges are alpha × product + (1 − alpha) × scene.

    In integers: (a·p + (255 − a)·s + 127) ÷ 255 gives exactly p at a = 255 and exactly s at a = 0.
    """
    alpha = canvas.mask[..., None].astype(np.uint16)
    mixed = (alpha * canvas.rgb + (255 - alpha) * scene + 127) // 255
    return mixed.astype(np.uint8)


def composite_at_bucket(decoded: Floats, scene_input: SceneInput) -> Floats:
    """The same at the bucket's size in −1…1 ([3, H, W]); `product` is premultiplied already."""
    return scene_input.product + np.clip(decoded, -1.0, 1.0) * scene_input.mask


def encode(picture: Bytes, output_format: OutputFormat) -> bytes:
    """Encodes [H, W, 3]; a fresh image, so nothing of the input's metadata can leave with it."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, output_format.value, **_SAVE_OPTIONS[output_format])
    return buffer.getvalue()


def receipt(data: bytes, canvas: Canvas, mask_source: MaskSource) -> Receipt:
    """Decodes the finished bytes again and compares their product with the one that was placed."""
    opaque = canvas.mask == 255
    delivered = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    difference = np.abs(delivered[opaque].astype(np.int16) - canvas.rgb[opaque].astype(np.int16))
    return Receipt(
        max_difference=int(difference.max(initial=0)),
        compared_pixels=int(opaque.sum()),
        mask_digest="sha256:" + hashlib.sha256(np.ascontiguousarray(canvas.mask).tobytes()).hexdigest(),
        soft=bool(((canvas.mask > 0) & ~opaque).any()),
        mask_source=mask_source,
        product_box=canvas.box,
        unscaled=canvas.unscaled,
    )


def preview(predicted_clean: Floats, scene_input: SceneInput, factors: Floats, bias: Floats, factor: int) -> bytes:
    """A JPEG of a predicted clean latent [C, h, w], projected linearly to RGB, with the real product on top.

    Four pixels a latent: enough to judge a composition, and no call of the VAE. `factors` [C, 3] and `bias` [3] map
    to 0…1; `factor` is the VAE's.
    """
    channels, h, w = predicted_clean.shape
    rgb = predicted_clean.reshape(channels, -1).T @ factors + bias
    small = Image.fromarray((np.clip(rgb, 0, 1) * 255).astype(np.uint8).reshape(h, w, 3))
    scene = np.asarray(small.resize((w * 4, h * 4), Image.Resampling.BICUBIC), np.float32)
    cell = factor // 4 if factor >= 4 else 1
    product = _average(scene_input.product, cell)
    mask = _average(scene_input.mask, cell)
    product_255 = (product + (1.0 - mask)) * 127.5  # premultiplied −1…1 to premultiplied 0…255
    mixed = product_255.transpose(1, 2, 0) + scene * mask.transpose(1, 2, 0)
    return encode(np.rint(np.clip(mixed, 0, 255)).astype(np.uint8), OutputFormat.JPEG)


def _average(planes: Floats, cell: int) -> Floats:
    channels, height, width = planes.shape
    blocks = planes.reshape(channels, height // cell, cell, width // cell, cell)
    averaged: Floats = blocks.mean(axis=(2, 4), dtype=np.float32)
    return averaged

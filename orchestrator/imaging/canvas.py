"""The product on its canvas, at full size for compositing and at the bucket's size for the models."""

from __future__ import annotations

import dataclasses

import numpy as np
from PIL import Image

from orchestrator.domain import Bytes, Floats, Rect, Size
from orchestrator.imaging.placement import Scene


@dataclasses.dataclass(frozen=True)
class Canvas:
    """The placed product, at the output size.

    `rgb` [H, W, 3] holds the product's colours (black outside its box), `mask` [H, W] is 255 where it is opaque.
    """

    rgb: Bytes
    mask: Bytes
    box: Rect
    unscaled: bool

    @property
    def size(self) -> Size:
        """The output size."""
        return Size(self.mask.shape[1], self.mask.shape[0])


@dataclasses.dataclass(frozen=True)
class SceneInput:
    """The canvas as the models see it, at the bucket's size.

    `product` [3, H, W] in −1…1 is mid grey (0) where nothing is known; `mask` [1, H, W] is 1 where the background is
    to be made; `latent_mask` [1, h, w] is its area average over each latent's cell.
    """

    product: Floats
    mask: Floats
    latent_mask: Floats


def build_canvas(photo: Bytes, mask: Bytes, cutout: Rect, size: Size, box: Rect) -> Canvas:
    """Puts the cut-out of `photo` [H, W, 3] and `mask` [H, W] at `box` of a canvas of `size`.

    A cut-out that keeps its size is copied, bit for bit. Otherwise it is resampled with Pillow's Lanczos filter on
    premultiplied RGBA, so that colours from outside the mask cannot bleed in.
    """
    rows, columns = slice(cutout.y, cutout.y + cutout.height), slice(cutout.x, cutout.x + cutout.width)
    rgba = np.dstack([photo[rows, columns], mask[rows, columns]])
    unscaled = (box.width, box.height) == (cutout.width, cutout.height)
    if not unscaled:
        rgba = resize_cutout(rgba, Size(box.width, box.height))
    rgb_canvas = np.zeros((size.height, size.width, 3), np.uint8)
    mask_canvas = np.zeros((size.height, size.width), np.uint8)
    target = np.s_[box.y : box.y + box.height, box.x : box.x + box.width]
    rgb_canvas[target] = rgba[..., :3]
    mask_canvas[target] = rgba[..., 3]
    return Canvas(rgb_canvas, mask_canvas, box, unscaled)


def resize_cutout(rgba: Bytes, size: Size) -> Bytes:
    """Resamples straight-alpha RGBA [H, W, 4] with Lanczos; Pillow premultiplies and divides again by itself."""
    return np.array(Image.fromarray(rgba).resize((size.width, size.height), Image.Resampling.LANCZOS))


def build_scene_input(canvas: Canvas, scene: Scene, factor: int) -> SceneInput:
    """Scales the canvas into its bucket; `factor` is the VAE's, in pixels a latent."""
    rgba = resize_cutout(np.dstack([canvas.rgb, canvas.mask]), Size(scene.canvas.width, scene.canvas.height))
    product = np.zeros((scene.bucket.height, scene.bucket.width, 3), np.float32)
    alpha = np.zeros((scene.bucket.height, scene.bucket.width), np.float32)
    inner = scene.canvas
    target = np.s_[inner.y : inner.y + inner.height, inner.x : inner.x + inner.width]
    alpha[target] = rgba[..., 3].astype(np.float32) / 255.0
    product[target] = rgba[..., :3].astype(np.float32) / 127.5 - 1.0
    product *= alpha[..., None]
    mask = 1.0 - alpha
    h, w = mask.shape[0] // factor, mask.shape[1] // factor
    latent_mask = mask.reshape(h, factor, w, factor).mean(axis=(1, 3))
    return SceneInput(
        np.ascontiguousarray(product.transpose(2, 0, 1)), mask[None], np.ascontiguousarray(latent_mask[None])
    )

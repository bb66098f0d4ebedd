"""A frame as the models see it, at the bucket's size."""

from __future__ import annotations

import dataclasses

import numpy as np
from PIL import Image

from backdrop.contract.cutouts import resize_cutout
from backdrop.contract.finishing import composite
from backdrop.contract.geometry import Size
from orchestrator.arrays import Floats
from orchestrator.imaging.frame import Frame


@dataclasses.dataclass(frozen=True, eq=False)
class ModelView:
    """What models read of a frame (the convention of diffusers' inpainting pipelines).

    `known` [3, H, W] in −1…1 is mid grey (0) where nothing is known, and premultiplied at soft edges; `mask` [1, H, W]
    is 1 where pixels are to be made; `latent_mask` [1, h, w] is its area average over each latent's cell.
    In a hard view both masks are 0 or 1, and a latent has the mask of the first pixel of its cell.
    """

    known: Floats
    mask: Floats
    latent_mask: Floats

    @property
    def size(self) -> Size:
        """The bucket's size."""
        return Size(self.mask.shape[2], self.mask.shape[1])


def view_of(frame: Frame, factor: int, *, hard: bool = False) -> ModelView:
    """Scales a frame's canvas into its bucket; `factor` is the VAE's, in pixels for each latent along a side.

    `hard` cuts masks at one half, as diffusers' `VaeImageProcessor` and `prepare_mask_latents` do.
    """
    inset, bucket = frame.inset, frame.bucket
    rgba = resize_cutout(np.dstack([frame.known, 255 - frame.make]), Size(inset.width, inset.height))
    known = np.zeros((bucket.height, bucket.width, 3), np.float32)
    alpha = np.zeros((bucket.height, bucket.width), np.float32)
    target = np.s_[inset.y : inset.y + inset.height, inset.x : inset.x + inset.width]
    kept = rgba[..., 3].astype(np.float32) / 255.0
    alpha[target] = kept > 0.5 if hard else kept
    known[target] = rgba[..., :3].astype(np.float32) / 127.5 - 1.0
    known *= alpha[..., None]
    mask = 1.0 - alpha
    small = mask[::factor, ::factor] if hard else _averaged(mask, factor)
    return ModelView(np.ascontiguousarray(known.transpose(2, 0, 1)), mask[None], np.ascontiguousarray(small[None]))


def _averaged(mask: Floats, factor: int) -> Floats:
    height, width = mask.shape
    averaged: Floats = mask.reshape(height // factor, factor, width // factor, factor).mean(axis=(1, 3))
    return averaged


def start_of(frame: Frame) -> Floats:
    """What noise starts from [3, H, W], at the bucket's size in −1…1; its border is repeated outside the canvas."""
    inset, bucket = frame.inset, frame.bucket
    picture = frame.known if frame.start is None else composite(frame.start, frame)
    small = Image.fromarray(picture).resize((inset.width, inset.height), Image.Resampling.LANCZOS)
    rows, columns = (inset.y, bucket.height - inset.y - inset.height), (inset.x, bucket.width - inset.x - inset.width)
    padded = np.pad(np.asarray(small, np.float32), (rows, columns, (0, 0)), mode="edge")
    return np.ascontiguousarray(padded.transpose(2, 0, 1) / 127.5 - 1.0)


def composite_view(decoded: Floats, view: ModelView) -> Floats:
    """The known pixels over a decoded scene [3, H, W], at the bucket's size in −1…1."""
    return view.known + np.clip(decoded, -1.0, 1.0) * view.mask

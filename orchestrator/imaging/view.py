"""A frame as the models see it, at the scene's size."""

from __future__ import annotations

import dataclasses

import numpy as np
from PIL import Image

from backdrop.contract.continuation import carried
from backdrop.contract.cutouts import resize_cutout
from backdrop.contract.finishing import composite
from backdrop.contract.geometry import Size
from backdrop.contract.tiling import Tiling
from orchestrator.arrays import Floats
from orchestrator.imaging.frame import Frame


@dataclasses.dataclass(frozen=True, eq=False)
class ModelView:
    """What models read of a frame (the convention of diffusers' inpainting pipelines).

    `known` [3, H, W] in −1…1 is mid grey (0) where nothing is known, and premultiplied at soft edges; `mask` [1, H, W]
    is 1 where pixels are to be made; `latent_mask` [1, h, w] is its area average over each latent's cell.
    In a hard view both masks are 0 or 1, and a latent has the mask of the first pixel of its cell. Models see the view
    by tiles.
    """

    known: Floats
    mask: Floats
    latent_mask: Floats
    tiling: Tiling

    @property
    def size(self) -> Size:
        """The scene's size."""
        return self.tiling.scene


def view_of(frame: Frame, factor: int, *, hard: bool = False) -> ModelView:
    """Scales a frame's canvas into its scene; `factor` is the VAE's, in pixels for each latent along a side.

    `hard` cuts masks at one half, as diffusers' `VaeImageProcessor` and `prepare_mask_latents` do.
    """
    inset, scene = frame.inset, frame.tiling.scene
    rgba = resize_cutout(np.dstack([frame.known, 255 - frame.make]), Size(inset.width, inset.height))
    known = np.zeros((scene.height, scene.width, 3), np.float32)
    alpha = np.zeros((scene.height, scene.width), np.float32)
    target = np.s_[inset.y : inset.y + inset.height, inset.x : inset.x + inset.width]
    kept = rgba[..., 3].astype(np.float32) / 255.0
    alpha[target] = kept > 0.5 if hard else kept
    known[target] = rgba[..., :3].astype(np.float32) / 127.5 - 1.0
    known *= alpha[..., None]
    mask = 1.0 - alpha
    small = mask[::factor, ::factor] if hard else _averaged(mask, factor)
    pixels, latent_mask = np.ascontiguousarray(known.transpose(2, 0, 1)), np.ascontiguousarray(small[None])
    return ModelView(pixels, mask[None], latent_mask, frame.tiling)


def _averaged(mask: Floats, factor: int) -> Floats:
    height, width = mask.shape
    averaged: Floats = mask.reshape(height // factor, factor, width // factor, factor).mean(axis=(1, 3))
    return averaged


def start_of(frame: Frame) -> Floats:
    """What noise starts from [3, H, W], at the scene's size in −1…1; its border is repeated outside the canvas.

    Where a made part continues a known one, the noise starts from the known colours, carried into the hole: at the
    first step a schedule keeps some of the clean latents, and a denoiser was trained to read colours from that.
    """
    inset, scene = frame.inset, frame.tiling.scene
    size = Size(inset.width, inset.height)
    if frame.continues:
        small = carried(resize_cutout(np.dstack([frame.known, 255 - frame.make]), size))
    else:
        picture = frame.known if frame.start is None else composite(frame.start, frame)
        small = np.asarray(Image.fromarray(picture).resize((size.width, size.height), Image.Resampling.LANCZOS))
    rows, columns = (inset.y, scene.height - inset.y - inset.height), (inset.x, scene.width - inset.x - inset.width)
    padded = np.pad(small.astype(np.float32), (rows, columns, (0, 0)), mode="edge")
    return np.ascontiguousarray(padded.transpose(2, 0, 1) / 127.5 - 1.0)


def composite_view(decoded: Floats, view: ModelView) -> Floats:
    """The known pixels over a decoded scene [3, H, W], at the scene's size in −1…1."""
    return view.known + np.clip(decoded, -1.0, 1.0) * view.mask

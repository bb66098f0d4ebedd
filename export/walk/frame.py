"""The frame of a walk as a pipeline's components read it: image, mask, latent mask and sizes, in one bucket."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from export.walk.runner import Array


@dataclass(frozen=True)
class WalkFrame:
    """A picture, and the mask of what is to be made in it; arrays are one row, FP32."""

    image: Array
    """[1, 3, H, W] in −1…1"""
    mask: Array
    """[1, 1, H, W]: 1 where the picture is to be made, 0 where it is kept."""
    latent_mask: Array
    """[1, 1, h, w]: the mask's area average; with `hard`, the first pixel of each latent's square."""
    time_ids: Array
    """[1, 6]: original size, crop, target size."""

    @property
    def masked(self) -> Array:
        """[1, 3, H, W]: the picture with mid grey where it is to be made."""
        masked: Array = self.image * (1 - self.mask)
        return masked

    @classmethod
    def of(cls, photo: Array, product: Array, bucket: tuple[int, int], factor: int, *, hard: bool = False) -> WalkFrame:
        """A photo whose product is kept, resized to a bucket (height, width); its proportions may change.

        Args:
            photo: 8-bit [H, W, 3].
            product: [H, W] in 0…1, 1 where the product is.
            bucket: Height and width in pixels.
            factor: Pixels to a latent, along a side.
            hard: Whether masks are cut at one half, as diffusers does: the convention `latent_mask` is "nearest".
        """
        height, width = bucket
        resized = Image.fromarray(photo).resize((width, height), Image.Resampling.LANCZOS)
        kept = Image.fromarray((product * 255).round().astype(np.uint8)).resize((width, height))
        image = np.asarray(resized, np.float32).transpose(2, 0, 1)[None] / 127.5 - 1
        mask = 1 - np.asarray(kept, np.float32)[None, None] / 255
        return cls.of_arrays(np.ascontiguousarray(image), mask, factor, hard=hard)

    @classmethod
    def blank(cls, bucket: tuple[int, int], factor: int) -> WalkFrame:
        """Nothing is kept: all of the picture is to be made."""
        height, width = bucket
        return cls.of_arrays(
            np.zeros((1, 3, height, width), np.float32), np.ones((1, 1, height, width), np.float32), factor
        )

    @classmethod
    def of_arrays(cls, image: Array, mask: Array, factor: int, *, hard: bool = False) -> WalkFrame:
        """A picture [1, 3, H, W] in −1…1 and its mask [1, 1, H, W] that have a bucket's size already."""
        height, width = image.shape[2:]
        time_ids = np.array([[height, width, 0, 0, height, width]], np.float32)
        if hard:
            cut = (mask >= 0.5).astype(np.float32)
            return cls(image, cut, np.ascontiguousarray(cut[:, :, ::factor, ::factor]), time_ids)
        blocks = mask.reshape(1, 1, height // factor, factor, width // factor, factor)
        return cls(image, mask, np.ascontiguousarray(blocks.mean(axis=(3, 5), dtype=np.float32)), time_ids)

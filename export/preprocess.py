"""CLIP's own preprocessing of style pictures, as a folder's `feature_extractor/` describes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from export.errors import BadFolderError
from export.keys.values import is_number
from export.reading import has_file, read_json

Array = npt.NDArray[Any]
FOLDER, FILE = "feature_extractor", "preprocessor_config.json"
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
"""Mean and deviation of CLIP's training pictures (Radford et al. 2021)."""
BICUBIC = 3
FIXED: Mapping[str, object] = {
    "do_resize": True,
    "do_center_crop": True,
    "do_rescale": True,
    "do_normalize": True,
    "resample": BICUBIC,
    "rescale_factor": 1 / 255,
}
"""Settings of `CLIPImageProcessor` that are supported with this value alone, which is its default."""


@dataclass(frozen=True)
class ClipPreprocess:
    """How a picture becomes the encoder's input: the orchestrator resizes and crops, the graph takes mean and std."""

    resize: int
    """The shorter side's pixels after the resizing (bicubic)."""
    crop: int
    """The side of the middle square that is kept: the encoder's `image_size`."""
    mean: tuple[float, ...] = CLIP_MEAN
    std: tuple[float, ...] = CLIP_STD

    @property
    def convention(self) -> dict[str, int]:
        """`image_preprocess` in `pipeline.json`."""
        return {"resize": self.resize, "crop": self.crop}

    def square(self, picture: Array) -> Array:
        """A picture [1, 3, H, W] in −1…1, resized and cropped: [1, 3, crop, crop]."""
        pixels = np.rint((picture[0].transpose(1, 2, 0) + 1) * 127.5).astype(np.uint8)
        height, width = pixels.shape[:2]
        shorter = min(height, width)
        size = (int(self.resize * width / shorter), int(self.resize * height / shorter))
        resized = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC), np.float32)
        top, left = (size[1] - self.crop) // 2, (size[0] - self.crop) // 2
        middle = resized[top : top + self.crop, left : left + self.crop]
        return np.ascontiguousarray(middle.transpose(2, 0, 1)[None] / 127.5 - 1)


def read_preprocess(folder: Path | None, encoder: Mapping[str, Any]) -> ClipPreprocess:
    """The preprocessing of a pipeline: its feature extractor's, else the encoder's size, as diffusers does it.

    Args:
        folder: The pipeline's `feature_extractor/`; None where it has none.
        encoder: The image encoder's config.

    Raises:
        BadFolderError: if a setting is not supported.
    """
    size = int(encoder["image_size"])
    if folder is None or not has_file(folder / FILE):
        return ClipPreprocess(size, size)
    config, name = read_json(folder / FILE), f"{FOLDER}/{FILE}"
    for key, value in FIXED.items():
        setting = config.get(key, value)
        if setting != value:
            raise BadFolderError(f"{name} sets {key} to {setting}; only {value} is supported.")
    preprocess = ClipPreprocess(
        resize=_side(config.get("size", size), "shortest_edge", f"{name}: size"),
        crop=_side(config.get("crop_size", size), "height", f"{name}: crop_size"),
        mean=_channels(config, "image_mean", CLIP_MEAN),
        std=_channels(config, "image_std", CLIP_STD),
    )
    if preprocess.crop != size or preprocess.resize < size:
        raise BadFolderError(f"{name}: pictures of {preprocess.crop} pixels; image_encoder/ reads {size}.")
    return preprocess


def _channels(config: Mapping[str, Any], key: str, default: tuple[float, ...]) -> tuple[float, ...]:
    """A number for each of three channels."""
    value = config.get(key, default)
    if not isinstance(value, list | tuple) or len(value) != 3 or not all(map(is_number, value)):
        raise BadFolderError(f"{FOLDER}/{FILE}: {key} is {str(value)[:60]}; it must be three numbers.")
    return tuple(float(channel) for channel in value)


def _side(value: object, key: str, name: str) -> int:
    """A size that is a number, or an object in which all sides are equal."""
    sides = list(value.values()) if isinstance(value, Mapping) and key in value else [value]
    side = sides[0]
    if sides != [side] * len(sides) or not isinstance(side, int) or side < 1:
        raise BadFolderError(f"{name} is {value}; a number, or one {key}, is supported.")
    return side

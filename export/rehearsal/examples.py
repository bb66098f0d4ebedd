"""The example requests that a rehearsal makes: a product photo with its mask, and a prompt."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from export.errors import ExportError
from export.walk.runner import Bytes

Floats = npt.NDArray[Any]
PROMPTS = ("a beach at sunset", "a wooden table in a kitchen, morning light")
PROMPTS_FILE = "prompts.txt"
FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
MOST = 16
"""Examples that are taken from a folder; each costs every component a run."""
DRAWN_SIDE = 512


@dataclass(frozen=True)
class Example:
    """One request."""

    prompt: str
    photo: Bytes
    """[H, W, 3]"""
    mask: Floats
    """[H, W] in 0…1, 1 where the product is."""


def drawn() -> tuple[Example, ...]:
    """Two requests whose photos are drawn here: a shaded bottle before a backdrop, so that no photos are needed."""
    return tuple(Example(prompt, *draw(seed)) for seed, prompt in enumerate(PROMPTS))


def draw(seed: int) -> tuple[Bytes, Floats]:
    """A shaded ellipse before a soft gradient, with grain: edges, slopes and texture, as photos have."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:DRAWN_SIDE, 0:DRAWN_SIDE] / DRAWN_SIDE * 2 - 1
    distance = np.hypot(x / 0.35, y / 0.65)
    mask = np.clip((1 - distance) * 24 + 0.5, 0, 1)
    light, product, backdrop = random.uniform(0.4, 1, (3, 3))
    shade = np.clip(0.75 - 0.5 * x - 0.2 * y + 0.15 * np.sin(18 * y), 0, 1)[..., None]
    behind = backdrop * (0.6 + 0.4 * (1 - y[..., None]) / 2)
    picture = behind + mask[..., None] * (product * shade + 0.2 * light - behind)
    picture += random.normal(0, 0.02, picture.shape)
    return (np.clip(picture, 0, 1) * 255).round().astype(np.uint8), mask


def read_folder(folder: Path) -> tuple[Example, ...]:
    """Reads photos, and their prompts from `prompts.txt`, a line each in the order of the photos' names.

    A photo's alpha channel is its mask; one without any is taken for a product that fills the middle half. Without
    `prompts.txt`, the prompts are ours.

    Raises:
        ExportError: if there is no photo, one cannot be read, or the prompts are not as many.
    """
    if not folder.is_dir():
        raise ExportError(f"--examples {folder} is not a folder.")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in FORMATS)[:MOST]
    if not paths:
        raise ExportError(f"--examples {folder} holds no PNG, JPEG or WebP.")
    prompts = [PROMPTS[index % len(PROMPTS)] for index in range(len(paths))]
    if (folder / PROMPTS_FILE).is_file():
        prompts = (folder / PROMPTS_FILE).read_text(encoding="utf-8").splitlines()
        if len(prompts) < len(paths):
            raise ExportError(f"{folder / PROMPTS_FILE} has {len(prompts)} lines for {len(paths)} photos.")
    return tuple(Example(prompt, *read_photo(path)) for path, prompt in zip(paths, prompts, strict=False))


def read_photo(path: Path) -> tuple[Bytes, Floats]:
    """A photo [H, W, 3] and its mask [H, W]."""
    try:
        with Image.open(path, formats=tuple(set(FORMATS.values()))) as image:
            pixels = np.asarray(image.convert("RGBA"))
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise ExportError(f"--examples: {path.name} cannot be read as a picture.") from error
    mask = pixels[..., 3] / 255
    if mask.min() == 1:
        height, width = mask.shape
        mask = np.zeros_like(mask)
        mask[height // 4 : height - height // 4, width // 4 : width - width // 4] = 1
    return np.ascontiguousarray(pixels[..., :3]), mask


def digest(examples: tuple[Example, ...]) -> str:
    """sha256 of everything in them."""
    hashed = hashlib.sha256()
    for example in examples:
        hashed.update(f"{example.prompt}\n{example.photo.shape}\n".encode())
        hashed.update(example.photo.tobytes())
        hashed.update(np.ascontiguousarray(example.mask, np.float32).tobytes())
    return hashed.hexdigest()

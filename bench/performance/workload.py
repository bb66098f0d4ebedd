"""The requests that every arm is given: photos, prompts and seeds that depend on nothing but their number."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
from PIL import Image

import backdrop
from bench.figures import ROOT

SIDE = 256
PROMPTS = (
    "a beach at sunset",
    "a mountain lake on a clear day",
    "a forest in the morning",
    "a city street at night",
    "a kitchen in the morning",
    "a desert at noon",
    "a market at night",
    "a studio with soft light",
)


@dataclasses.dataclass(frozen=True)
class Order:
    """One picture to make."""

    number: int
    steps: int = 8
    guidance_scale: float = 3.0
    pipeline: str = "backdrop"
    priority: str = "standard"
    preview_every: int = 0
    guidance_window: tuple[float, float] | None = None
    variants: int = 1
    top_k: int = 0
    early_dropping: backdrop.EarlyDropping | None = None

    @property
    def prompt(self) -> str:
        """The scene."""
        return PROMPTS[self.number % len(PROMPTS)]

    @property
    def seed(self) -> int:
        """Of the first variant."""
        return 1000 + self.number

    def photo(self) -> bytes:
        """The sample product as a PNG with its mask in the alpha channel; one pixel says the number.

        So no two orders share what a cache would keep of a photo, and no arm gains by having a cache.
        """
        with Image.open(ROOT / "examples" / "product.png") as image:
            pixels = np.asarray(image.convert("RGBA").resize((SIDE, SIDE))).copy()
        pixels[0, 0] = (self.number & 255, (self.number >> 8) & 255, 7, 0)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        return buffer.getvalue()


def orders(count: int, first: int = 0, **settings: object) -> list[Order]:
    """So many orders, numbered from `first`."""
    return [Order(number, **settings) for number in range(first, first + count)]  # type: ignore[arg-type]

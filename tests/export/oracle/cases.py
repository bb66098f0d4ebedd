"""The requests that are compared with diffusers' own pipelines: families, tasks, masks, prompts and solvers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from tests.export.oracle.extras import LAYOUTS, STYLED, layouts_of
from tests.export.oracle.folders import FAMILIES, SIDE

Bytes = npt.NDArray[np.uint8]
PROMPT, NEGATIVE = "a beach at sunset", "blurry text"
MASKS = ("hard", "soft", "ellipse")
SOLVERS = {
    "sd15-inpaint": ("ddim", "euler", "dpmpp_2m", "ddpm"),
    "sdxl": ("ddim", "euler", "dpmpp_2m", "ddpm"),
    "sdxl-inpaint": ("ddim", "euler", "dpmpp_2m", "ddpm"),
    "sd3": (),
}
"""Solvers that requests name; the folder's own is that of the default requests."""
WEIGHT = 0.9
"""Of a LoRA."""


@dataclasses.dataclass(frozen=True)
class Case:
    """One request.

    Attributes:
        family: name of the folder.
        mask: one of `MASKS`; None makes the whole picture.
        negative: the negative prompt; None leaves it out.
        solver: None for the folder's own.
        steps: None for the default of the folder's pipeline class.
        guidance: likewise.
        style: scale of the style picture; None sends none.
        adapters: LoRAs by layout, each with its weight.
    """

    family: str
    mask: str | None = None
    negative: str | None = None
    solver: str | None = None
    steps: int | None = 6
    guidance: float | None = 5.0
    seed: int = 11
    style: float | None = None
    adapters: tuple[tuple[str, float], ...] = ()

    @property
    def default(self) -> bool:
        """Whether the request leaves everything out but the prompt, and the picture with its mask."""
        fields = (self.negative, self.solver, self.steps, self.guidance, self.style, *self.adapters)
        return all(field is None for field in fields)

    @property
    def soft(self) -> bool:
        """Whether it has a soft or an elliptic mask, a style picture or LoRAs."""
        return self.mask in ("soft", "ellipse") or self.style is not None or bool(self.adapters)

    def __str__(self) -> str:
        parts = (self.mask or "text", "default" if self.default else self.solver, "negative" if self.negative else None)
        guided = None if self.guidance is None or self.guidance > 1 else "unguided"
        extras = ("style" if self.style else None, *(name for name, _ in self.adapters))
        return "-".join(part for part in (self.family, *parts, guided, *extras) if part)


def cases() -> Iterator[Case]:
    """Yields the default request of each family, and one change each of whatever a request may say."""
    for family in FAMILIES:
        own = "hard" if family.endswith("inpaint") else None
        yield Case(family, own, steps=None, guidance=None)
        yield Case(family, own, NEGATIVE)
        yield Case(family, own, guidance=1.0)
        yield from (Case(family, mask) for mask in MASKS)
        yield from (Case(family, own, solver=solver) for solver in SOLVERS[family])
        yield from (Case(family, own, adapters=((layout, WEIGHT),)) for layout in layouts_of(family))
        if family in STYLED:
            yield Case(family, own, style=0.8)
        if layouts_of(family) == LAYOUTS:
            # Three at once, one of them taken away.
            yield Case(family, own, adapters=tuple(zip(LAYOUTS[1:], (WEIGHT, -WEIGHT / 2, WEIGHT), strict=True)))


def photo() -> Bytes:
    """A picture [SIDE, SIDE, 3] with slopes and grain."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    channels = np.stack([x, y, 1 - x * y], axis=-1) + np.random.default_rng(3).normal(0, 0.05, (SIDE, SIDE, 3))
    pixels: Bytes = (np.clip(channels, 0, 1) * 255).astype(np.uint8)
    return pixels


def style() -> Bytes:
    """A style picture [90, 70, 3]."""
    from PIL import Image

    coarse = np.random.default_rng(2).integers(0, 256, (5, 5, 3), np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((70, 90), Image.Resampling.BICUBIC))


def mask(kind: str) -> Bytes:
    """What is made, [SIDE, SIDE]: 255 = make; "hard" keeps to multiples of 8 pixels, "soft" has a ramp."""
    if kind == "hard":
        result = np.zeros((SIDE, SIDE), np.uint8)
        result[32:96, 40:104] = 255
        return result
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE * 2 - 1
    inside = 1 - np.hypot(x / 0.7, (y - 0.1) / 0.5)
    marks: Bytes = (np.clip(inside * (4 if kind == "soft" else 1e6) + 0.5, 0, 1) * 255).round().astype(np.uint8)
    return marks

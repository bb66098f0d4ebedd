"""The requests that are compared with diffusers' own pipelines: families, tasks, masks, prompts and solvers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

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
    """

    family: str
    mask: str | None = None
    negative: str | None = None
    solver: str | None = None
    steps: int | None = 6
    guidance: float | None = 5.0
    seed: int = 11

    @property
    def default(self) -> bool:
        """Whether the request leaves everything out but the prompt, and the picture with its mask."""
        return (self.negative, self.solver, self.steps, self.guidance) == (None, None, None, None)

    def __str__(self) -> str:
        parts = (self.mask or "text", "default" if self.default else self.solver, "negative" if self.negative else None)
        guided = None if self.guidance is None or self.guidance > 1 else "unguided"
        return "-".join(part for part in (self.family, *parts, guided) if part)


def cases() -> Iterator[Case]:
    """Yields the default request of each family, and one change each of mask, negative prompt, guidance and solver."""
    for family in FAMILIES:
        own = "hard" if family.endswith("inpaint") else None
        yield Case(family, own, steps=None, guidance=None)
        yield Case(family, own, NEGATIVE)
        yield Case(family, own, guidance=1.0)
        yield from (Case(family, mask) for mask in MASKS)
        yield from (Case(family, own, solver=solver) for solver in SOLVERS[family])


def photo() -> Bytes:
    """A picture [SIDE, SIDE, 3] with slopes and grain."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    channels = np.stack([x, y, 1 - x * y], axis=-1) + np.random.default_rng(3).normal(0, 0.05, (SIDE, SIDE, 3))
    pixels: Bytes = (np.clip(channels, 0, 1) * 255).astype(np.uint8)
    return pixels


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

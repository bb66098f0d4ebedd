"""The parts of a request after every check, with every default filled in; each stage takes the part that it reads."""

from __future__ import annotations

import dataclasses
import enum
import math

import numpy as np
import numpy.typing as npt

from backdrop.contract.geometry import Size
from backdrop.contract.request_warnings import RequestWarning


class Priority(enum.IntEnum):
    """Classes of requests, the most urgent first; the values are those of `backdrop.v1.Priority`."""

    INTERACTIVE = 1
    STANDARD = 2
    BULK = 3


class OutputFormat(enum.Enum):
    """Encodings of the returned pictures, by Pillow's names."""

    PNG = "PNG"
    JPEG = "JPEG"
    WEBP = "WEBP"

    @property
    def media_type(self) -> str:
        """For example "image/png"."""
        return f"image/{self.value.lower()}"


@dataclasses.dataclass(frozen=True, eq=False)
class StylePicture:
    """A picture whose look the scene takes on: square 8-bit RGB `pixels` [S, S, 3], and its weight among the others."""

    pixels: npt.NDArray[np.uint8]
    weight: float


@dataclasses.dataclass(frozen=True)
class Adapter:
    """A LoRA of the pipeline by its name, and the factor of its update."""

    name: str
    weight: float = 1.0


@dataclasses.dataclass(frozen=True)
class Conditioning:
    """What the made pixels should show."""

    prompt: str = ""
    negative_prompt: str = ""
    style: tuple[StylePicture, ...] = ()
    image_scale: float = 0.0
    """0 without style pictures."""
    adapters: tuple[Adapter, ...] = ()
    """By name, each once, none of weight 0: requests that mean the same have the same adapters in the same order."""
    palette: tuple[str, ...] = ()
    """Colours that the made pixels follow, as "#rrggbb"."""
    warnings: tuple[RequestWarning, ...] = ()
    """What was converted in the style pictures, once they are decoded."""


@dataclasses.dataclass(frozen=True)
class Window:
    """A part of the steps, as fractions of their number, from `start` to before `stop`."""

    start: float = 0.0
    stop: float = 1.0

    def holds(self, step: int, steps: int) -> bool:
        """Whether the step, counted from 0, is in it."""
        return self.start <= step / steps < self.stop


@dataclasses.dataclass(frozen=True)
class Sampling:
    """How the pixels are sampled."""

    pipeline: str
    seed: int
    scheduler: str
    steps: int
    guidance_scale: float
    guidance_window: Window = Window()
    strength: float = 1.0
    """Where the noise starts: 1.0 = pure noise; below, the known picture with noise for this fraction of the steps."""

    @property
    def guided(self) -> bool:
        """Whether some steps cost two rows (conditional and unconditional)."""
        return self.guidance_scale > 1.0

    def first(self, steps: int) -> int:
        """The first of `steps` steps that is taken, counted from 0 as in diffusers' img2img pipelines.

        The last step is taken unless the strength is 0; then none is, and the result is the number of calls.
        """
        if not self.strength:
            return self.calls(steps)
        return steps - min(max(int(steps * self.strength), 1), steps)

    def calls(self, steps: int) -> int:
        """Model calls of a whole trajectory of `steps` steps; PNDM takes its first step twice."""
        return steps + 1 if self.scheduler == "pndm" and steps > 1 else steps

    def rows_at(self, step: int, steps: int) -> int:
        """Rows of one variant's step, counted from 0, in a trajectory of `steps` model calls."""
        return 2 if self.guided and self.guidance_window.holds(step, steps) else 1

    def rows(self, steps: int, start: int = 0, stop: int | None = None) -> int:
        """Rows of one variant's calls `start` to before `stop` (None = the end) of `steps`, without skipped steps."""
        start, calls = max(start, self.first(steps)), self.calls(steps)
        return sum(self.rows_at(step, calls) for step in range(start, calls if stop is None else stop))


@dataclasses.dataclass(frozen=True)
class DroppingRound:
    """A round of successive halving: the best `keep` variants continue, the others are given up."""

    keep: int
    after: float = 0.0
    """The fraction of the steps that come before the round; 0 where drafts are scored."""
    draft_steps: int = 0
    """Steps of the drafts that are scored; 0 = no drafts. Only the first round can have them."""

    def step(self, steps: int) -> int:
        """The number of steps that come before the round: at least one, and not all."""
        # `after` has 32 bits on the wire: without rounding, 0.6 of 20 steps would be 12.0000005, so 13.
        return min(steps - 1, max(1, math.ceil(round(self.after * steps, 4))))


@dataclasses.dataclass(frozen=True)
class Selection:
    """How many candidates are made, and which of them are returned."""

    variants: int = 1
    top_k: int = 1
    dropping: tuple[DroppingRound, ...] = ()
    """Each round is later and keeps fewer than the one before; empty = every variant is finished."""

    @property
    def draft(self) -> DroppingRound | None:
        """The round that scores drafts, if there is one."""
        return next((each for each in self.dropping if each.draft_steps), None)

    def rounds(self, steps: int, first: int = 0) -> dict[int, int]:
        """Steps before each round → variants that continue after it. Of rounds at the same step, the last counts.

        The first `first` steps are skipped; every round takes place after at least one step that is taken. There is
        none where no step is taken: all variants are the same.
        """
        if first >= steps:
            return {}
        return {max(each.step(steps), first + 1): each.keep for each in self.dropping if not each.draft_steps}


@dataclasses.dataclass(frozen=True)
class Delivery:
    """How pictures and progress are returned."""

    size: Size | None = None
    """None: the size that the task gives the picture."""
    format: OutputFormat = OutputFormat.PNG
    preview_every: int = 0


@dataclasses.dataclass(frozen=True)
class Parts:
    """The four parts that every task shares, and the class of the request."""

    conditioning: Conditioning
    sampling: Sampling
    selection: Selection
    delivery: Delivery
    priority: Priority = Priority.STANDARD


def row_steps(sampling: Sampling, selection: Selection) -> int:
    """Denoiser rows of a request over all its variants; a dropped variant counts up to its drop."""
    total, taken, running = 0, 0, selection.variants
    if draft := selection.draft:
        total, running = running * sampling.rows(draft.draft_steps), draft.keep
    for after, keep in selection.rounds(sampling.steps, sampling.first(sampling.steps)).items():
        total += running * sampling.rows(sampling.steps, taken, after)
        taken, running = after, keep
    return total + running * sampling.rows(sampling.steps, taken)


def saved_row_steps(sampling: Sampling, selection: Selection) -> int:
    """Rows that early dropping and the guidance window save; 0 if drafts cost more than they save."""
    steps = sampling.calls(sampling.steps) - sampling.first(sampling.steps)
    whole = selection.variants * steps * (2 if sampling.guided else 1)
    return max(0, whole - row_steps(sampling, selection))


def sequential_steps(sampling: Sampling, selection: Selection) -> int:
    """Steps that one variant takes one after another until it is finished, its draft's steps included."""
    drafted = selection.draft.draft_steps if selection.draft else 0
    return sum(sampling.calls(steps) - sampling.first(steps) for steps in (sampling.steps, drafted) if steps)

"""The types that cross the orchestrator's inner borders: a validated job going in, events coming out."""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from orchestrator.repository import PipelineSpec
from orchestrator.scheduling.priority import Priority

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]


class Stage(enum.IntEnum):
    """The parts of a job in their order; the values are those of `backdrop.v1.Stage`."""

    ENCODE = 1
    PREPARE = 2
    DENOISE = 3
    DECODE = 4
    SCORE = 5
    SELECT = 6


class OutputFormat(enum.Enum):
    """Encodings of the returned pictures: Pillow's name, media type and save options."""

    PNG = "PNG"
    JPEG = "JPEG"
    WEBP = "WEBP"

    @property
    def media_type(self) -> str:
        """For example "image/png"."""
        return f"image/{self.value.lower()}"


class MaskSource(enum.IntEnum):
    """Where the mask came from; the values are those of `backdrop.v1.MaskSource`."""

    REQUEST = 1
    ALPHA = 2
    SEGMENTER = 3


@dataclasses.dataclass(frozen=True)
class Size:
    """Pixels."""

    width: int
    height: int

    @property
    def pixels(self) -> int:
        """Width × height."""
        return self.width * self.height


@dataclasses.dataclass(frozen=True)
class Rect:
    """A rectangle of whole pixels."""

    x: int
    y: int
    width: int
    height: int


@dataclasses.dataclass(frozen=True)
class Fit:
    """As large as fits; `padding` is a fraction of the shorter side, alignments run from 0.0 (left, top) to 1.0."""

    padding: float = 0.15
    horizontal: float = 0.5
    vertical: float = 0.5


@dataclasses.dataclass(frozen=True, eq=False)
class StylePicture:
    """A picture whose look the scene takes on: square 8-bit RGB `pixels` [S, S, 3], and its share among the others."""

    pixels: Bytes
    weight: float


@dataclasses.dataclass(frozen=True)
class Window:
    """A part of the steps, as fractions of their number; `start` is in it, `stop` is not."""

    start: float = 0.0
    stop: float = 1.0

    def holds(self, step: int, steps: int) -> bool:
        """Whether the step, counted from 0, is in it."""
        return self.start <= step / steps < self.stop


@dataclasses.dataclass(frozen=True)
class Dropping:
    """A round of successive halving: the best `keep` variants go on, the others are given up.

    They are judged by what they promise after so many steps, or before the first by drafts in so many steps.
    """

    keep: int
    after: float = 0.0
    """As a fraction of the steps; 0 where drafts are judged."""
    draft_steps: int = 0
    """0 = no drafts; only the first round of a job can have them."""

    def step(self, steps: int) -> int:
        """The steps that are taken before: one at least, and not all."""
        # On the wire it has 32 bits: 0.6 of 20 steps are 12.0000005.
        return min(steps - 1, max(1, math.ceil(round(self.after * steps, 4))))


@dataclasses.dataclass(frozen=True)
class Job:
    """A request that has passed every check that needs no model, with every default filled in.

    `placement` None leaves the product where it is in the photo; that needs `output_size` None too.
    """

    request_id: str
    pipeline: PipelineSpec
    photo: Bytes  # [H, W, 3], the photo's colours
    mask: Bytes | None  # [H, W], 255 = product; None = ask the segmenter
    mask_source: MaskSource
    prompt: str
    negative_prompt: str
    output_size: Size | None
    placement: Fit | Rect | None
    variants: int
    top_k: int
    seed: int
    steps: int
    scheduler: str
    guidance_scale: float
    output_format: OutputFormat
    preview_every: int
    style: tuple[StylePicture, ...] = ()
    image_scale: float = 0.0  # 0 without style pictures
    priority: Priority = Priority.STANDARD
    guidance_window: Window = Window()
    dropping: tuple[Dropping, ...] = ()  # later and fewer from round to round; empty = every variant is finished

    @property
    def guided(self) -> bool:
        """Whether some steps cost two rows (conditional and unconditional)."""
        return self.guidance_scale > 1.0

    def rows_at(self, step: int, steps: int) -> int:
        """What a step, counted from 0, costs on a way of so many steps."""
        return 2 if self.guided and self.guidance_window.holds(step, steps) else 1

    @property
    def row_steps(self) -> int:
        """What the job costs at the denoiser: rows × steps over all variants, less those that are given up."""
        total, done, left = 0, 0, self.variants
        if self.draft:
            total, left = left * sum(self._rows(self.draft.draft_steps)), self.draft.keep
        rows = self._rows(self.steps)
        for after, keep in self.rounds.items():
            total, done, left = total + left * sum(rows[done:after]), after, keep
        return total + left * sum(rows[done:])

    def _rows(self, steps: int) -> list[int]:
        return [self.rows_at(step, steps) for step in range(steps)]

    @property
    def draft(self) -> Dropping | None:
        """The round that judges drafts, if there is one."""
        return next((each for each in self.dropping if each.draft_steps), None)

    @property
    def rounds(self) -> dict[int, int]:
        """After how many steps how many variants go on; of rounds that fall on one step the last counts."""
        return {each.step(self.steps): each.keep for each in self.dropping if not each.draft_steps}

    @property
    def steps_in_a_row(self) -> int:
        """Steps that a variant takes one after another until it is finished, those of its draft among them."""
        return self.steps + (self.draft.draft_steps if self.draft else 0)

    @property
    def saved_row_steps(self) -> int:
        """What it would cost more with guidance in every step, and every variant finished; 0 where drafts cost more."""
        return max(0, self.variants * self.steps * (2 if self.guided else 1) - self.row_steps)


@dataclasses.dataclass(frozen=True)
class Accepted:
    """The job runs (`queue_position` 0) or has that place in the queue (1 = the next to run)."""

    queue_position: int
    expected_start_s: float = 0.0


@dataclasses.dataclass(frozen=True)
class StageStarted:
    """A stage began."""

    stage: Stage


@dataclasses.dataclass(frozen=True)
class StepDone:
    """A variant has taken a step; `preview` is a JPEG or empty."""

    variant: int
    step: int
    steps: int
    preview: bytes = b""
    draft: bool = False


@dataclasses.dataclass(frozen=True)
class Scores:
    """What the reward model says, 0 to 1 a head, higher is better; `total` is their mean."""

    heads: Mapping[str, float]

    @property
    def total(self) -> float:
        """Mean of the heads."""
        return sum(self.heads.values()) / len(self.heads)


@dataclasses.dataclass(frozen=True)
class VariantDone:
    """A variant is decoded, composited and scored."""

    variant: int
    seed: int
    scores: Scores


@dataclasses.dataclass(frozen=True)
class VariantDropped:
    """A variant was given up, by the scores of what it was becoming."""

    variant: int
    seed: int
    scores: Scores


@dataclasses.dataclass(frozen=True)
class Receipt:
    """How far the encoded picture's product is from what was placed; see `backdrop.v1.PreservationReceipt`."""

    max_difference: int
    compared_pixels: int
    mask_digest: str
    soft: bool
    mask_source: MaskSource
    product_box: Rect
    unscaled: bool


@dataclasses.dataclass(frozen=True)
class Picture:
    """One ranked, encoded picture."""

    data: bytes
    size: Size
    variant: int
    seed: int
    scores: Scores
    receipt: Receipt


@dataclasses.dataclass(frozen=True)
class CacheReport:
    """Where the job's cache look-ups were answered."""

    memory_hits: int
    redis_hits: int
    misses: int


@dataclasses.dataclass(frozen=True)
class Finished:
    """The job's end: pictures best first, wall seconds by stage."""

    job: Job
    pictures: Sequence[Picture]
    output_size: Size
    scene_size: Size
    timings: Mapping[Stage, float]
    cache: CacheReport


Event = Accepted | StageStarted | StepDone | VariantDone | VariantDropped | Finished

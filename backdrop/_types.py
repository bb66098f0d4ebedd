"""What callers send and get, as small frozen dataclasses; protos stay behind them."""

from __future__ import annotations

import dataclasses
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from backdrop._enums import (
    CompositingMode,
    HorizontalAlignment,
    MaskSource,
    OutputFormat,
    Priority,
    Scheduler,
    Stage,
    VerticalAlignment,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    ImageSource: TypeAlias = bytes | bytearray | memoryview | str | os.PathLike[str] | Image.Image | NDArray[np.uint8]
else:
    ImageSource: TypeAlias = Any
"""A picture to send: encoded bytes, a path, a PIL image, or a uint8 array (height, width[, 3 or 4])."""

Size: TypeAlias = tuple[int, int]
"""Width and height in pixels."""


@dataclasses.dataclass(frozen=True)
class Fit:
    """Places the product as large as fits inside the picture less a padding."""

    padding: float | None = None
    """Free space on every side, as a fraction of the picture's shorter side. 0.0 to 0.45; None: the server's 0.15."""
    horizontal: HorizontalAlignment | str = HorizontalAlignment.CENTER
    """Where the product stands from left to right."""
    vertical: VerticalAlignment | str = VerticalAlignment.CENTER
    """Where the product stands from top to bottom."""


@dataclasses.dataclass(frozen=True)
class Box:
    """A rectangle in pixels of the output picture."""

    x: int
    """Left edge."""
    y: int
    """Top edge."""
    width: int
    """At least 1."""
    height: int
    """At least 1."""


@dataclasses.dataclass(frozen=True, eq=False)
class StyleImage:
    """A picture whose look the scene takes on, with a weight of its own."""

    picture: ImageSource = dataclasses.field(repr=False)
    """Encoded bytes, a path, a PIL image or a uint8 array, as for the product photo."""
    weight: float = 1.0
    """Its share among the style pictures; only the ratios count. Above 0.0, to 10.0."""


@dataclasses.dataclass(frozen=True)
class Scores:
    """What the reward model says: 0.0 to 1.0, higher is better."""

    total: float
    """Mean of the heads; pictures are ranked by it."""
    heads: Mapping[str, float]
    """Score by head: "defects" (1 = none), "fidelity" (to the prompt), "aesthetics"."""


@dataclasses.dataclass(frozen=True)
class Receipt:
    """Proof that the product was not touched."""

    max_difference: int
    """Largest difference over the opaque product pixels between the decoded picture and the placed product, in 8-bit
    steps; 0 = exact."""
    compared_pixels: int
    """How many opaque product pixels were compared."""
    mask_digest: str
    """SHA-256 of the placed mask at the output size, as "sha256:" and 64 hexadecimal characters."""
    compositing: CompositingMode
    """HARD: all pixels were copied; SOFT: edge pixels were blended."""
    mask_source: MaskSource
    """Where the mask came from."""
    product_box: Box
    """The rectangle that the product takes in the picture."""
    unscaled: bool
    """True when the product was not resized: its pixels are then the photo's own."""


@dataclasses.dataclass(frozen=True)
class Picture:
    """One ranked picture."""

    data: bytes = dataclasses.field(repr=False)
    """The encoded file, as `media_type` says."""
    media_type: str
    """ "image/png", "image/jpeg" or "image/webp"."""
    width: int
    """In pixels."""
    height: int
    """In pixels."""
    variant: int
    """Which variant this is, from 0."""
    seed: int
    """Sent alone (`variants=1`) with the same request, this seed makes these bytes again."""
    scores: Scores
    """What the reward model says about it."""
    receipt: Receipt
    """Proof that the product was not touched."""

    def image(self) -> Image.Image:
        """Returns the picture, decoded, as a PIL image."""
        from PIL import Image  # decoding is the only thing here that needs Pillow

        image = Image.open(io.BytesIO(self.data))
        image.load()
        return image

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the encoded file to `path`, byte for byte as the server made it.

        Raises:
            OSError: the file cannot be written.
        """
        Path(path).write_bytes(self.data)


@dataclasses.dataclass(frozen=True)
class Timing:
    """Wall time of one stage."""

    stage: Stage
    duration_s: float


@dataclasses.dataclass(frozen=True)
class CacheReport:
    """How many look-ups the server's caches answered."""

    memory_hits: int
    redis_hits: int
    misses: int


@dataclasses.dataclass(frozen=True)
class Usage:
    """What a request has cost."""

    row_steps: int
    """Denoiser rows that were computed: one a sample and step, two where it was guided."""
    saved_row_steps: int
    """Rows that options of the request or of the pipeline have saved; 0 where drafts cost more than that."""
    row_step_megapixels: float
    """`row_steps` × the scene's megapixels: what quotas count."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """The request's settings with every default filled in."""

    output_size: Size
    scene_size: Size
    """Size at which the scene was made, before it was enlarged and cropped."""
    variants: int
    top_k: int
    seed: int
    """Seed of the first variant."""
    steps: int
    scheduler: Scheduler
    guidance_scale: float
    """1.0 = off."""
    output_format: OutputFormat
    image_scale: float = 0.0
    """0.0 without style pictures."""
    priority: Priority = Priority.STANDARD
    guidance_window: tuple[float, float] | None = None
    """The part of the steps that were guided; None = all, or guidance was off."""
    early_dropping: tuple[EarlyDropping, ...] = ()
    """How weaker variants were given up, round by round; empty = not at all."""


@dataclasses.dataclass(frozen=True)
class Accepted:
    """The request was taken on; sent again when its place in the queue changes, and after a retry."""

    request_id: str
    """The server's name for this request: quote it when reporting trouble."""
    queue_position: int
    """Place in the queue: 1 = the next to run, 0 = it runs now."""
    row_steps: int
    """Work that the request costs at most: rows × steps over all variants."""
    expected_start_s: float = 0.0
    """Seconds until it is likely to run; 0.0 once it does."""


@dataclasses.dataclass(frozen=True)
class StageStarted:
    """A stage began. Variants run side by side, so each stage begins once."""

    stage: Stage


@dataclasses.dataclass(frozen=True)
class StepProgress:
    """One variant has taken one denoising step."""

    variant: int
    """From 0."""
    step: int
    """Steps done, from 1 to `steps`."""
    steps: int
    preview: bytes = dataclasses.field(default=b"", repr=False)
    """A JPEG of what the picture is becoming, with the real product on it; empty unless `preview_every` asked."""
    draft: bool = False
    """The step is one of the variant's draft, which has `steps` of its own; see `EarlyDropping`."""


@dataclasses.dataclass(frozen=True)
class VariantFinished:
    """One variant is decoded, composited and scored, though perhaps not among the best."""

    variant: int
    seed: int
    scores: Scores


@dataclasses.dataclass(frozen=True)
class VariantDropped:
    """One variant was given up, because others promised more."""

    variant: int
    seed: int
    """Sent alone, it would be finished."""
    scores: Scores
    """Of the picture that it was becoming, as far as that could be told."""


@dataclasses.dataclass(frozen=True)
class EarlyDropping:
    """A round of giving up the weaker variants, by the reward model's score of the picture that each is becoming.

    Successive halving (Jamieson and Talwalkar 2016): later rounds keep fewer. What a variant is becoming is predicted
    `after` some of its steps, or shown by a draft: the same noise, finished in few steps before the first.
    """

    keep: int
    """How many go on: the request's `top_k` to its `variants`; fewer than in the round before."""
    after: float | None = None
    """The part of the steps that is taken before, above 0.0 and below 1.0; early estimates mislead. None: 0.5, or
    nothing where drafts are judged."""
    draft_steps: int | None = None
    """Judges drafts of so many steps, from 1 and fewer than the request's; those that go on begin anew. In the first
    round only, and instead of `after`."""


@dataclasses.dataclass(frozen=True)
class Result:
    """The ranked pictures; always the last event."""

    pictures: tuple[Picture, ...]
    """Best first."""
    model_fingerprints: Mapping[str, str]
    """Model name → "sha256:…" of its served files."""
    timings: tuple[Timing, ...]
    """Wall time by stage, in the stages' order."""
    cache: CacheReport
    pipeline: str
    settings: Settings
    replayed: bool
    """True when an earlier call with the same idempotency key made this result."""
    request_id: str
    usage: Usage = Usage(0, 0, 0.0)

    @property
    def best(self) -> Picture:
        """The picture with the highest score."""
        return self.pictures[0]


Event: TypeAlias = Accepted | StageStarted | StepProgress | VariantFinished | VariantDropped | Result
"""What a generation yields."""

"""What a generation yields and returns, as small frozen dataclasses; protos stay behind them."""

from __future__ import annotations

import dataclasses
import io
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from backdrop._enums import CompositingMode, MaskSource, OutputFormat, Priority, Scheduler, Stage
from backdrop._types import Adapter, Box, EarlyDropping, Size
from backdrop.contract.request_warnings import RequestWarning

if TYPE_CHECKING:
    from PIL import Image


@dataclasses.dataclass(frozen=True)
class Scores:
    """What the reward model says: 0.0 to 1.0, higher is better."""

    total: float
    """Mean of the heads; pictures are ranked by it."""
    heads: Mapping[str, float]
    """Score by head: "defects" (1 = none), "fidelity" (to the prompt), "aesthetics"."""


@dataclasses.dataclass(frozen=True)
class ProductReceipt:
    """Where one product stands, and how much of it can be seen."""

    box: Box
    """The rectangle of the picture that holds the placed cut-out."""
    unscaled: bool
    """True when it was not resized."""
    mask_source: MaskSource
    visible_pixels: int
    """Number of its pixels that are entirely known and that no other product covers or touches."""


@dataclasses.dataclass(frozen=True)
class BorderChanges:
    """How a picture differs from a plain paste of the cut-out that was sent, over the pixels that may differ.

    These are the border band of a product, or all of it where its light was changed.
    """

    band_pixels: int
    """Number of pixels that were allowed to change."""
    changed_pixels: int
    """Number of them that differ."""
    max_difference: int
    """Largest difference over R, G, B of these pixels, in 8-bit steps."""
    mean_difference: float
    """Mean over the band of each pixel's largest difference over its channels, in 8-bit steps."""
    map: bytes = dataclasses.field(repr=False)
    """Where and how much: a grey PNG of the picture's size, with each pixel's largest difference over its channels."""


@dataclasses.dataclass(frozen=True)
class Receipt:
    """Proof that the known pixels were kept."""

    max_difference: int
    """Largest difference between the decoded picture and the known pixels, over the pixels of which nothing was to be
    made, in 8-bit steps; 0 = exact."""
    compared_pixels: int
    """Number of pixels that were compared."""
    mask_digest: str
    """SHA-256 of the mask of what was to be made (255 = made) at the output size, as "sha256:" and 64 hexadecimal
    characters."""
    compositing: CompositingMode
    """HARD: known pixels were copied; SOFT: edge pixels were blended."""
    mask_source: MaskSource
    """Where the mask came from."""
    known_box: Box
    """The rectangle that the known pixels take in the picture: the placed cut-out, or the whole picture."""
    unscaled: bool
    """True when the known pixels were not resized: they are then the sent picture's own."""
    known_pixels: int
    """Number of pixels that are known at all: the compared ones, and those of soft edges and of borders that may
    change."""
    compared_fraction: float
    """`compared_pixels` ÷ `known_pixels`; 0.0 if nothing is known."""
    exact: bool
    """True if `max_difference` is 0 over at least half of the known pixels, and nothing was changed on request; never
    true of little or nothing."""
    products: tuple[ProductReceipt, ...] = ()
    """Of the background task: each product, in the order of the request."""
    changes: BorderChanges | None = None
    """What the task changed on request: of relight, and of a background with a soft border."""


@dataclasses.dataclass(frozen=True)
class Picture:
    """One returned picture; pictures come in the order of their rank."""

    data: bytes = dataclasses.field(repr=False)
    """The encoded file, as `media_type` says."""
    media_type: str
    """ "image/png", "image/jpeg" or "image/webp"."""
    width: int
    """In pixels."""
    height: int
    """In pixels."""
    rank: int
    """Its place by `scores.total`, 0 = the best; without scores, its place among the variants."""
    variant: int
    """Which variant this is, from 0."""
    seed: int
    """Sent alone (`variants=1`) with the same request, this seed makes these bytes again."""
    scores: Scores | None
    """What the reward model says about it; None if the pipeline has no reward model."""
    receipt: Receipt | None
    """Proof that the known pixels were kept; None where the task keeps none."""
    layout: int = 0
    """Which layout of the request this is, from 0; `rank` counts within it, `variant` over all of them."""

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
    """Denoiser rows that were computed: one per variant, step and tile, two where the step was guided."""
    saved_row_steps: int
    """Rows that early dropping and the guidance window saved; 0 where drafts cost more than they saved."""
    row_step_megapixels: float
    """`row_steps` × the megapixels of a row, the scene's or a tile's: what quotas count."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """The request's settings with every default filled in."""

    task: str
    """The task's name: "background", "text_to_image"."""
    pipeline: str
    seed: int
    """Seed of the first variant."""
    scheduler: Scheduler
    steps: int
    guidance_scale: float
    """1.0 = off."""
    variants: int
    top_k: int
    output_size: Size
    output_format: OutputFormat
    scene_size: Size
    """Size at which the scene was made, before it was cropped and enlarged to the output size; longer than the
    pipeline's scene sizes if it was made in tiles."""
    preview_every: int = 0
    image_scale: float = 0.0
    """0.0 without style pictures."""
    priority: Priority = Priority.STANDARD
    guidance_window: tuple[float, float] | None = None
    """The part of the steps that were guided; None = all, or guidance was off."""
    early_dropping: tuple[EarlyDropping, ...] = ()
    """The rounds in which weaker variants were given up; empty = none."""
    strength: float = 1.0
    """The fraction of the steps that were taken; below 1.0 the noise started from the picture."""
    adapters: tuple[Adapter, ...] = ()
    """The adapters of the request by name, without those of weight 0.0."""
    palette: tuple[str, ...] = ()
    """The palette as "#rrggbb"; empty without one."""


@dataclasses.dataclass(frozen=True)
class Accepted:
    """The request is valid, and runs or waits; sent again when its queue position changes, and after a retry."""

    request_id: str
    """The server's name for this request: quote it when reporting a problem."""
    queue_position: int
    """Place in the queue: 1 = the next to run; 0 = it runs now."""
    row_steps: int
    """Work that the request costs at most: rows × steps over all variants."""
    expected_start_s: float = 0.0
    """Expected time until it runs, in seconds; 0.0 once it runs."""


@dataclasses.dataclass(frozen=True)
class StageStarted:
    """A stage began. Variants run at the same time, so each stage begins once."""

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
    """A JPEG of the predicted picture with the known pixels on it; empty unless `preview_every` is set."""
    draft: bool = False
    """The step belongs to the variant's draft, which has its own `steps`; see `EarlyDropping`."""


@dataclasses.dataclass(frozen=True)
class VariantFinished:
    """One variant is decoded and scored. Whether it is returned is decided when all are."""

    variant: int
    seed: int
    scores: Scores | None
    """None if the pipeline has no reward model."""


@dataclasses.dataclass(frozen=True)
class VariantDropped:
    """One variant was given up, because others scored better."""

    variant: int
    seed: int
    """Sent alone, it would be finished."""
    scores: Scores
    """Of its preview: the predicted picture or the draft."""


@dataclasses.dataclass(frozen=True)
class Summary:
    """What was used, and what it cost; always the last event."""

    model_fingerprints: Mapping[str, str]
    """Model name → "sha256:…" of its served files."""
    timings: tuple[Timing, ...]
    """Wall time by stage, in the stages' order."""
    cache: CacheReport
    settings: Settings
    replayed: bool
    """True when an earlier call with the same idempotency key made the pictures."""
    request_id: str
    """The server's name for the request that made the pictures."""
    usage: Usage
    warnings: tuple[RequestWarning, ...]
    """What was corrected in the request's pictures and masks, and which of its fields had no effect."""


@dataclasses.dataclass(frozen=True)
class Result(Summary):
    """What a generation returns: its summary, and all its pictures."""

    pictures: tuple[Picture, ...]
    """Best first; in the order of the variants if the pipeline has no reward model."""

    @classmethod
    def of(cls, summary: Summary, pictures: Iterable[Picture]) -> Result:
        """The result that a summary and the pictures before it make."""
        fields = {field.name: getattr(summary, field.name) for field in dataclasses.fields(Summary)}
        return cls(**fields, pictures=tuple(pictures))

    @property
    def best(self) -> Picture:
        """The picture with the highest score; without scores, the first variant."""
        return self.pictures[0]


Event: TypeAlias = Accepted | StageStarted | StepProgress | VariantFinished | VariantDropped | Picture | Summary
"""What a generation yields."""

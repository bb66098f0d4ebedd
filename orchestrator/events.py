"""What happens to a request on its way, in the order of the stream."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping

from backdrop.contract.geometry import Size
from backdrop.contract.receipts import Receipt
from backdrop.contract.request_warnings import RequestWarning
from orchestrator.cache.lookups import CacheReport


class Stage(enum.IntEnum):
    """The parts of the work on a request, in order; the values are those of `backdrop.v1.Stage`."""

    ENCODE = 1
    PREPARE = 2
    DENOISE = 3
    DECODE = 4
    SCORE = 5
    SELECT = 6


@dataclasses.dataclass(frozen=True)
class Accepted:
    """The request runs (`queue_position` 0) or waits (1 = the next to run)."""

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
    """Scores of the reward model, 0 to 1 for each head, higher is better."""

    heads: Mapping[str, float]
    judged_by: tuple[str, ...] = ()
    """The heads that count for the task; () = all."""

    @property
    def total(self) -> float:
        """Mean of the heads that count."""
        values = [self.heads[head] for head in self.judged_by or self.heads]
        return sum(values) / len(values)


@dataclasses.dataclass(frozen=True)
class VariantFinished:
    """A variant is decoded, and scored if the pipeline has a reward model."""

    variant: int
    seed: int
    scores: Scores | None


@dataclasses.dataclass(frozen=True)
class VariantDropped:
    """A variant was given up because of the scores of its predicted picture or draft."""

    variant: int
    seed: int
    scores: Scores


@dataclasses.dataclass(frozen=True)
class Picture:
    """One ranked, encoded picture; `rank` 0 is the best."""

    data: bytes
    media_type: str
    size: Size
    rank: int
    variant: int
    seed: int
    scores: Scores | None
    receipt: Receipt | None
    """None where nothing was kept."""
    layout: int = 0
    """Which of the request's layouts."""


@dataclasses.dataclass(frozen=True)
class Finished:
    """The end: how many pictures came before, wall seconds by stage, what the caches answered, what was corrected."""

    pictures: int
    timings: Mapping[Stage, float]
    cache: CacheReport
    warnings: tuple[RequestWarning, ...] = ()


Event = Accepted | StageStarted | StepDone | VariantFinished | VariantDropped | Picture | Finished

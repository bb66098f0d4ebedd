"""How fast a job can be: the best that was seen lately, by which deadlines are told to be tight, or lost."""

from __future__ import annotations

import collections
import time
from collections.abc import Mapping

from backdrop.errors import Reason, error
from orchestrator.domain import Job, Stage
from orchestrator.pipeline.progress import Progress

_REMEMBERED = 256
# Whoever is refused takes no step, so a pace that was slow once would be believed for ever.
_REMEMBERED_S = 600.0

Kind = tuple[str, float]
"""Jobs that take as long: of one pipeline, at one size in megapixels."""


class Pace:
    """Remembers how long the stages of the last jobs took, and each denoising step."""

    def __init__(self) -> None:
        self._seconds: dict[tuple[Kind, Stage], collections.deque[float]] = {}
        # Of them: asked for far more often than it changes.
        self._best: dict[Kind, dict[Stage, float]] = {}
        self._seen_at: dict[Kind, float] = {}

    def record(self, kind: Kind, stage: Stage, seconds: float) -> None:
        """Takes in the wall time of a stage; of DENOISE, of one step."""
        if not self.best(kind):
            for each in Stage:
                self._seconds[kind, each] = collections.deque(maxlen=_REMEMBERED)
            self._best[kind] = {}
        recent = self._seconds[kind, stage]
        recent.append(seconds)
        self._best[kind][stage], self._seen_at[kind] = min(recent), time.monotonic()

    def best(self, kind: Kind) -> Mapping[Stage, float]:
        """The least that each took; nothing of what nothing is known, or of a kind that was not seen for long."""
        if time.monotonic() - self._seen_at.get(kind, 0.0) > _REMEMBERED_S:
            return {}
        return self._best.get(kind, {})


class Outlook:
    """What one job needs at best from where it stands; what it takes, `pace` learns."""

    def __init__(self, pace: Pace, kind: Kind, job: Job, progress: Progress) -> None:
        self._pace, self._kind, self._job, self._progress = pace, kind, job, progress
        self._taken = 0

    def step(self, taken: int, seconds: float) -> None:
        """A variant has taken so many steps in all, those of its draft among them, the last one in so many seconds."""
        self._taken = max(self._taken, taken)
        self._pace.record(self._kind, Stage.DENOISE, seconds)

    def finished(self) -> None:
        """All stages are over."""
        for stage, seconds in self._progress.timings().items():
            if stage is not Stage.DENOISE:
                self._pace.record(self._kind, stage, seconds)

    def need_s(self) -> float:
        """Seconds until the pictures at best: the steps that the foremost variant has left, and what stages lack."""
        best, need_s = self._pace.best(self._kind), 0.0
        for stage, seconds in best.items():
            if stage is Stage.DENOISE:
                need_s += seconds * (self._job.steps_in_a_row - self._taken)
            else:
                need_s += max(0.0, seconds - self._progress.seconds(stage))
        return need_s

    def check(self, deadline: float) -> None:
        """Raises DeadlineExceededError when `deadline` (time.monotonic) is below the best case."""
        left, need = deadline - time.monotonic(), self.need_s()
        if left < need:
            steps = self._job.steps_in_a_row
            message = f"the deadline leaves {max(left, 0):.2f} s; {steps} steps take at least {need:.2f} s."
            raise error(Reason.DEADLINE_TOO_SHORT, message)

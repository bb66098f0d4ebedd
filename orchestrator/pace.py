"""How fast a step can be: the best seen lately, by which hopeless deadlines are refused before they cost a row."""

from __future__ import annotations

import collections
import time
from collections.abc import Callable

from backdrop.errors import Reason, error
from orchestrator.domain import Job

_REMEMBERED_STEPS = 256


class Pace:
    """Remembers the last denoiser calls of each pipeline."""

    def __init__(self) -> None:
        self._seconds: dict[str, collections.deque[float]] = {}
        self._best: dict[str, float] = {}  # of them: asked for far more often than it changes

    def record(self, pipeline: str, seconds: float) -> None:
        """Takes in one step's wall time."""
        recent = self._seconds.setdefault(pipeline, collections.deque(maxlen=_REMEMBERED_STEPS))
        recent.append(seconds)
        self._best[pipeline] = min(recent)

    def best_case_s(self, job: Job) -> float:
        """The least time that the job's steps can take, 0 while nothing is known."""
        return self._best.get(job.pipeline.name, 0.0) * job.steps

    def urgency(self, job: Job, deadline: float | None) -> Callable[[], bool]:
        """Says, whenever asked, whether `deadline` (time.monotonic) leaves less than twice the job's best case."""

        def urgent() -> bool:
            return deadline is not None and deadline - time.monotonic() < 2 * self.best_case_s(job)

        return urgent

    def check(self, job: Job, deadline: float | None) -> None:
        """Raises DeadlineExceededError when `deadline` (time.monotonic) is below the best case."""
        if deadline is None:
            return
        left, need = deadline - time.monotonic(), self.best_case_s(job)
        if left < need:
            message = f"the deadline leaves {max(left, 0):.2f} s; {job.steps} steps take at least {need:.2f} s."
            raise error(Reason.DEADLINE_TOO_SHORT, message)

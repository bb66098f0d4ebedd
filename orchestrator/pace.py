"""How fast a step can be: the best seen lately, by which hopeless deadlines are refused before they cost a row."""

from __future__ import annotations

import collections
import time

from backdrop.errors import Reason, error
from orchestrator.domain import Job

_REMEMBERED_STEPS = 256
# Whoever is refused takes no step, so a pace that was slow once would be believed for ever.
_REMEMBERED_S = 600.0


class Pace:
    """Remembers the last denoiser calls of each pipeline."""

    def __init__(self) -> None:
        self._steps: dict[str, collections.deque[float]] = {}
        self._best: dict[str, float] = {}  # of them: asked for far more often than it changes
        self._last: dict[str, float] = {}

    def record(self, pipeline: str, seconds: float) -> None:
        """Takes in one step's wall time."""
        recent = self._steps.setdefault(pipeline, collections.deque(maxlen=_REMEMBERED_STEPS))
        recent.append(seconds)
        self._best[pipeline], self._last[pipeline] = min(recent), time.monotonic()

    def best_case_s(self, job: Job) -> float:
        """The least time that the job's steps can take, 0 while nothing is known or what was has grown old."""
        name = job.pipeline.name
        if time.monotonic() - self._last.get(name, 0.0) > _REMEMBERED_S:
            self._steps.pop(name, None)
            return 0.0
        return self._best.get(name, 0.0) * job.steps

    def check(self, job: Job, deadline: float | None) -> None:
        """Raises DeadlineExceededError when `deadline` (time.monotonic) is below the best case."""
        if deadline is None:
            return
        left, need = deadline - time.monotonic(), self.best_case_s(job)
        if left < need:
            message = f"the deadline leaves {max(left, 0):.2f} s; {job.steps} steps take at least {need:.2f} s."
            raise error(Reason.DEADLINE_TOO_SHORT, message)

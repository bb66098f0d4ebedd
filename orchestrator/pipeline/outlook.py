"""The least time that a request still needs, to compare its deadline with."""

from __future__ import annotations

import time

from backdrop.errors import Reason, error
from orchestrator.events import Stage
from orchestrator.pipeline.pace import Kind, Pace
from orchestrator.pipeline.progress import Progress


class Outlook:
    """The need of one request, computed from the recent minima in `pace`; its own durations are recorded there.

    `steps` is how many steps a variant takes one after another, its draft's steps included.
    """

    def __init__(self, pace: Pace, kind: Kind, steps: int, progress: Progress) -> None:
        self._pace, self._kind, self._steps, self._progress = pace, kind, steps, progress
        self._taken = 0

    def step(self, taken: int, seconds: float) -> None:
        """Records a step of `seconds`; its variant has now taken `taken` steps, its draft's steps included."""
        self._taken = max(self._taken, taken)
        self._pace.record(self._kind, Stage.DENOISE, seconds)

    def finished(self) -> None:
        """Records how long the stages took, once all of them are over."""
        for stage, seconds in self._progress.timings().items():
            if stage is not Stage.DENOISE:
                self._pace.record(self._kind, stage, seconds)

    def need_s(self) -> float:
        """Least seconds until the pictures are ready: the foremost variant's remaining steps, and each stage's rest."""
        best, need_s = self._pace.best(self._kind), 0.0
        for stage, seconds in best.items():
            if stage is Stage.DENOISE:
                need_s += seconds * (self._steps - self._taken)
            else:
                need_s += max(0.0, seconds - self._progress.seconds(stage))
        return need_s

    def check(self, deadline: float) -> None:
        """Raises DeadlineExceededError if less time than the need is left before `deadline` (time.monotonic)."""
        remaining_s, need_s = deadline - time.monotonic(), self.need_s()
        if remaining_s < need_s:
            message = (
                f"the deadline leaves {max(remaining_s, 0):.2f} s; {self._steps} steps take at least {need_s:.2f} s."
            )
            raise error(Reason.DEADLINE_TOO_SHORT, message)

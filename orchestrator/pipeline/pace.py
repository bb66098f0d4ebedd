"""How fast requests were served recently: minima, from which the need of a request is computed."""

from __future__ import annotations

import collections
import time
from collections.abc import Mapping

from orchestrator.events import Stage

_REMEMBERED = 256
# A rejected request takes no step, so without an age limit one slow measurement would reject requests for ever.
_MAX_AGE_S = 600.0

Kind = tuple[str, bool, float]
"""Pipeline, whether models make the pixels, and megapixels of all tiles: requests of one kind take equally long."""


class Pace:
    """Durations of the latest stages and denoising steps, by kind of request."""

    def __init__(self) -> None:
        self._seconds: dict[tuple[Kind, Stage], collections.deque[float]] = {}
        # The minima of `_seconds`, kept because they are read far more often than they change.
        self._best: dict[Kind, dict[Stage, float]] = {}
        self._recorded_at: dict[Kind, float] = {}

    def record(self, kind: Kind, stage: Stage, seconds: float) -> None:
        """Adds the wall time of a stage; for DENOISE, that of one step."""
        if not self.best(kind):
            for each in Stage:
                self._seconds[kind, each] = collections.deque(maxlen=_REMEMBERED)
            self._best[kind] = {}
        recent = self._seconds[kind, stage]
        recent.append(seconds)
        self._best[kind][stage], self._recorded_at[kind] = min(recent), time.monotonic()

    def best(self, kind: Kind) -> Mapping[Stage, float]:
        """Fastest recent duration of each stage; empty if nothing of the kind was recorded in the last ten minutes."""
        if time.monotonic() - self._recorded_at.get(kind, 0.0) > _MAX_AGE_S:
            return {}
        return self._best.get(kind, {})

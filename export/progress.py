"""How an export reports what it does now, and how the command line shows it: with the time, never silent for long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.status import Status

Progress = Callable[[str, str], None]
"""Called with a model's name and what happens to the model now."""
SILENCE_S = 15.0
"""A log gets a line at least so often."""
FINISHED = ("done", "built")
USUAL_S = {"capturing": 0.035, "translating": 0.03}
"""Parts of tracing that take long: seconds for each tensor of a network, on two cores of 2.5 GHz."""
WORTH_S = 5.0
"""Shortest time of a part that is estimated."""


def with_usual_time(part: str, tensors: int) -> str:
    """A part of tracing a network of so many tensors, and how long it usually takes, if that is long."""
    seconds = USUAL_S.get(part, 0.0) * tensors
    return f"{part}, usually {seconds:.0f} s" if seconds >= WORTH_S else part


class ProgressDisplay:
    """Shows progress on a console; a context manager.

    A terminal has a status line with the time since the start and since the part began, and gets a line for each
    finished model. A log gets a line for each part, and one at least every `SILENCE_S` seconds.
    """

    def __init__(self, console: Console, silence_s: float = SILENCE_S) -> None:
        """Shows nothing yet."""
        self._console, self._silence_s = console, silence_s
        self._status: Status | None = console.status("starting") if console.is_terminal else None
        self._started = self._part_started = self._told = time.monotonic()
        self._part = "starting"
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        # A daemon: an export that is interrupted must not wait for it.
        self._clock = threading.Thread(target=self._tick, name="progress", daemon=True)

    def __enter__(self) -> ProgressDisplay:
        if self._status is not None:
            self._status.start()
        self._clock.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._clock.join()
        if self._status is not None:
            self._status.stop()

    def __call__(self, name: str, what: str) -> None:
        """A part begins."""
        with self._lock:
            self._part, self._part_started = f"{name}: {what}", time.monotonic()
            if self._status is None or what.startswith(FINISHED):
                self._line(self._part)

    def _line(self, text: str) -> None:
        self._told = time.monotonic()
        self._console.print(
            f"{self._told - self._started:5.0f} s  {text}", highlight=False, soft_wrap=True, markup=False
        )

    def _tick(self) -> None:
        """Tells how long the part takes already: the status line each second, a log where it was silent."""
        while not self._stopped.wait(min(1.0, self._silence_s / 4)):
            with self._lock:
                now = time.monotonic()
                text = f"{self._part} (for {now - self._part_started:.0f} s)"
                if self._status is not None:
                    self._status.update(f"{now - self._started:.0f} s  {text}")
                elif now - self._told >= self._silence_s:
                    self._line(text)

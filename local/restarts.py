"""Starts services again that died: on their old ports, after a growing delay, until one dies too often in a row."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from local.errors import DiedTooOftenError, StartError
from local.supervisor import Child, Supervisor, log_tail


@dataclass(frozen=True)
class RestartPolicy:
    """When a service is started again, and when the cluster gives up."""

    first_delay_s: float = 0.5
    """Delay after the first death; it doubles with every further death in a row."""
    longest_delay_s: float = 30.0
    stable_s: float = 60.0
    """A service that was ready for this long before it died starts a new count."""
    most_deaths: int = 5
    """Deaths in a row after which the cluster gives up."""

    def delay_s(self, deaths: int) -> float:
        """The delay after so many deaths in a row, at least one."""
        return min(self.first_delay_s * 2.0 ** (deaths - 1), self.longest_delay_s)


class Phase(Enum):
    """Where a service is between two deaths."""

    READY = "ready"
    WAITING = "waiting"
    """Dead, until its delay is over."""
    STARTING = "starting"
    """Runs, and does not answer yet."""


@dataclass
class History:
    """What has become of one service; times are of the monotonic clock."""

    ready_at: float
    phase: Phase = Phase.READY
    deaths: int = 0
    """In a row."""
    died_at: float = 0.0
    restart_at: float = 0.0


class Restarter:
    """Looks after the running services of a supervisor. Every call of `look` returns at once: none waits for another.

    Args:
        supervisor: its services are all ready.
        report: is called with one sentence for each death and each restart.
        policy: delays and limits.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        report: Callable[[str], None],
        policy: RestartPolicy | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._supervisor = supervisor
        self._report = report
        self._policy = policy or RestartPolicy()
        self._clock = clock
        self._histories = {name: History(ready_at=clock()) for name in supervisor.children}

    def look(self) -> bool:
        """Looks at every service once; returns whether one has become ready again.

        Raises:
            DiedTooOftenError: if a service died too often in a row.
        """
        recovered = [self._look_at(child, self._histories[name]) for name, child in self._supervisor.children.items()]
        return any(recovered)

    def _look_at(self, child: Child, history: History) -> bool:
        if history.phase is Phase.WAITING:
            if self._clock() >= history.restart_at:
                self._start(child, history)
        elif history.phase is Phase.STARTING:
            return self._await_ready(child, history)
        elif child.exit_code is not None:
            ready_s = self._clock() - history.ready_at
            if ready_s >= self._policy.stable_s:
                history.deaths = 0
            self._died(child, history, f"died after {ready_s:.1f} s: {ending(child.exit_code)}")
        return False

    def _start(self, child: Child, history: History) -> None:
        try:
            self._supervisor.start(child.service, wait=False)
            history.phase = Phase.STARTING
        except StartError:
            self._died(child, history, "could not be started")

    def _await_ready(self, child: Child, history: History) -> bool:
        try:
            if not child.is_ready():
                return False
        except StartError:
            code = child.exit_code
            how = "was not ready in time" if code is None else f"died before it was ready: {ending(code)}"
            self._died(child, history, how)
            return False
        history.phase, history.ready_at = Phase.READY, self._clock()
        service, away_s = child.service, history.ready_at - history.died_at
        self._report(f"{service.name} is ready again at {service.endpoint}, {away_s:.1f} s after it died.")
        return True

    def _died(self, child: Child, history: History, how: str) -> None:
        """Plans the restart; what the dead process left in shared memory and on disk goes now."""
        child.stop()
        service, policy = child.service, self._policy
        history.deaths += 1
        if history.deaths >= policy.most_deaths:
            raise DiedTooOftenError(
                f"{service.name} {how}. It died {history.deaths} times in a row, so the cluster stops. "
                f"{log_tail(service, child.log_start)}"
            )
        history.phase, history.died_at = Phase.WAITING, self._clock()
        delay_s = policy.delay_s(history.deaths)
        history.restart_at = history.died_at + delay_s
        self._report(
            f"{service.name} {how}; its log is {service.log}. "
            f"It starts again in {delay_s:g} s (death {history.deaths} of at most {policy.most_deaths} in a row)."
        )


def ending(exit_code: int) -> str:
    """How a service ended, from its guard's exit code: 128 + n for signal n, negative if the guard was killed."""
    if exit_code < 0:
        return f"its guard was killed by {_signal_name(-exit_code)}"
    if exit_code > 128:
        return f"killed by {_signal_name(exit_code - 128)}"
    return f"exit code {exit_code}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"

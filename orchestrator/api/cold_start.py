"""Refuses calls at once while there is no replica at all, and says when to come back: GPUs may be scaled to zero."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from backdrop.errors import BackdropError, Reason, error

# To callers who come back and find none yet.
_LEAST_RETRY_AFTER_S = 10.0


class ColdStart:
    """Notes calls that need a replica, for an autoscaler that starts the first one, and refuses those that find none.

    A call is refused and not held: a start takes minutes, and a held call would keep its place and its pictures.

    Args:
        expected_s: from the first call until a replica serves; 0 = replicas are always there, and nothing is refused.
        replicas: number of replicas that the endpoints name now, ready or not.
        refused: called for each refusal within the expected time.
    """

    def __init__(
        self,
        expected_s: float = 0.0,
        replicas: Callable[[], int] = lambda: 0,
        refused: Callable[[], None] = lambda: None,
    ) -> None:
        self._expected_s, self._replicas, self._refused = expected_s, replicas, refused
        self._called_at = -math.inf
        self._since: float | None = None
        """When the first of the calls that found no replica came."""

    @property
    def idle_s(self) -> float:
        """Seconds since the last call that needed a replica; infinite before the first."""
        return time.monotonic() - self._called_at

    @property
    def expects_replica(self) -> bool:
        """Whether a replica should serve now: false only while nobody has called for one, and while one starts."""
        self._look()
        if not self._expected_s:
            return True
        return self._since is not None and time.monotonic() - self._since > self._expected_s

    @property
    def is_cold(self) -> bool:
        """Whether there may be no replica, and there is none."""
        return bool(self._expected_s) and self._replicas() == 0

    def check(self) -> None:
        """Notes a call that needs a replica.

        Raises:
            UnavailableError: NO_REPLICA; there is none, and `retry_after_s` says when one is likely.
        """
        now = time.monotonic()
        # After so long a pause nobody waits for the start that was noted last.
        if now - self._called_at > max(self._expected_s, _LEAST_RETRY_AFTER_S):
            self._since = None
        self._called_at = now
        self._look()
        if self.is_cold:
            raise self._refusal(now)

    def _refusal(self, now: float) -> BackdropError:
        self._since = self._since if self._since is not None else now
        remaining_s = self._since + self._expected_s - now
        if remaining_s > 0:
            self._refused()
        retry_after_s = round(max(remaining_s, _LEAST_RETRY_AFTER_S), 1)
        message = f"the models are being started; try again in {retry_after_s} s."
        return error(Reason.NO_REPLICA, message, retry_after_s=retry_after_s)

    def _look(self) -> None:
        if self._replicas() > 0:
            self._since = None

"""When a failed call is tried again, and after how long."""

from __future__ import annotations

import dataclasses
import random

from backdrop.errors import BackdropError, OverloadedError, UnavailableError

_FIRST_DELAY_S = 0.2
_LONGEST_DELAY_S = 5.0


@dataclasses.dataclass(frozen=True)
class RetryPolicy:
    """Tries again what may succeed the next time: no server or replica there, or a full queue that says when to return.

    Everything else fails again, so it is not tried again: bad input, a message too large, a passed deadline; and a
    defect of the server is not hidden.
    """

    retries: int
    """How many more times a call is tried after the first. At least 0."""

    def delay_s(self, error: BackdropError, attempt: int) -> float | None:
        """Returns how long to wait after attempt number `attempt` (from 0) failed, in seconds; None to give up.

        The delay doubles from 0.2 s to 5 s and never is shorter than the server asked for. Part of it is random, so
        that callers who failed together do not come back together.
        """
        overloaded = isinstance(error, OverloadedError) and error.retry_after_s is not None
        if attempt >= self.retries or not (overloaded or isinstance(error, UnavailableError)):
            return None
        backoff = min(_FIRST_DELAY_S * 2.0**attempt, _LONGEST_DELAY_S)
        spread = random.uniform(0.5, 1.0)  # noqa: S311  (not a secret)
        return (error.retry_after_s or 0.0) + backoff * spread

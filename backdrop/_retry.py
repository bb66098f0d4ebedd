"""When a failed call is tried again, and after how long."""

from __future__ import annotations

import dataclasses
import random

from backdrop.errors import BackdropError, OverloadedError, UnavailableError

_FIRST_DELAY_S = 0.2
_LONGEST_DELAY_S = 5.0


@dataclasses.dataclass(frozen=True)
class RetryPolicy:
    """Retries calls that may succeed later: those without a server or replica, and those that a full queue refused.

    Other failures are not retried: bad input, too large messages and passed deadlines fail again, and a retry would
    hide a defect of the server.
    """

    retries: int
    """How many more times a call is tried after the first. At least 0."""

    def delay_s(self, error: BackdropError, attempt: int) -> float | None:
        """Returns the seconds to wait after attempt number `attempt` (from 0) failed; None to give up.

        The delay doubles from 0.2 s to 5 s and is never shorter than the server's `retry_after_s`. Part of it is
        random, so that callers that failed together do not retry together.
        """
        overloaded = isinstance(error, OverloadedError) and error.retry_after_s is not None
        if attempt >= self.retries or not (overloaded or isinstance(error, UnavailableError)):
            return None
        backoff = min(_FIRST_DELAY_S * 2.0**attempt, _LONGEST_DELAY_S)
        spread = random.uniform(0.5, 1.0)  # noqa: S311  (not a secret)
        return (error.retry_after_s or 0.0) + backoff * spread

"""A circuit breaker: after one failure the other side is not called until a probe in the background succeeds."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable


class Breaker:
    """Closed while the other side works. A failure delays one request, not every request.

    Args:
        probe: returns if the other side works, raises otherwise; needs a time limit of its own.
        changed: is told "breaker_opened" and "breaker_closed".
        first_pause_s: after the first probe that fails; doubled after each further one.
        longest_pause_s: where the doubling ends.
    """

    def __init__(
        self,
        probe: Callable[[], Awaitable[None]],
        changed: Callable[[str], None],
        *,
        first_pause_s: float = 0.05,
        longest_pause_s: float = 1.0,
    ) -> None:
        self._probe = probe
        self._changed = changed
        self._first_pause_s = first_pause_s
        self._longest_pause_s = longest_pause_s
        self._recovery: asyncio.Task[None] | None = None
        self._stopped = False

    @property
    def closed(self) -> bool:
        """Whether the other side may be called."""
        return self._recovery is None and not self._stopped

    def trip(self) -> None:
        """Opens the breaker and starts probing; does nothing if it is open."""
        if self.closed:
            self._changed("breaker_opened")
            self._recovery = asyncio.create_task(self._recover(reported=True))

    def prove(self) -> None:
        """Opens the breaker until a probe succeeds: for the start. It is reported only if the first probe fails."""
        if self.closed:
            self._recovery = asyncio.create_task(self._recover(reported=False))

    async def stop(self) -> None:
        """Stops probing, and stays open."""
        self._stopped = True
        if self._recovery is not None:
            self._recovery.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._recovery

    async def _recover(self, *, reported: bool) -> None:
        pause_s = self._first_pause_s
        # The first probe comes at once: the failure may have been a short one.
        # A probe may swallow the cancellation of `stop`, as redis-py does while it closes a connection.
        while not await self._works() and not self._stopped:
            if not reported:
                reported = True
                self._changed("breaker_opened")
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, self._longest_pause_s)
        if not self._stopped:
            self._recovery = None
            self._changed("breaker_closed")

    async def _works(self) -> bool:
        try:
            await self._probe()
        except Exception:  # of any kind: the other side does not work
            return False
        return True

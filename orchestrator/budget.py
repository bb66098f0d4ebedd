"""A shared amount of something: who needs more than is free waits, in the order of arrival."""

from __future__ import annotations

import asyncio
import collections
import contextlib
from collections.abc import AsyncIterator


class Budget:
    """Amounts that are held at the same time add up to at most `total`.

    An amount above the total is cut to it, so its holder runs alone. Nobody overtakes: a large amount that waits is not
    starved by small ones.
    """

    def __init__(self, total: float) -> None:
        self.total = total
        self.held = 0.0
        self.used = 0.0
        """All amounts ever held, added up."""
        self._holders = 0
        self._waiting: collections.deque[tuple[float, asyncio.Future[None]]] = collections.deque()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    @contextlib.asynccontextmanager
    async def hold(self, amount: float) -> AsyncIterator[None]:
        """Waits until `amount` is free, and holds it."""
        amount = min(amount, self.total)
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((amount, turn))
        self._serve()
        try:
            await turn
            yield
        finally:
            if not turn.cancelled():
                self._holders -= 1
                # Rounding errors end with the last holder, else they would add up for as long as the process runs.
                self.held = self.held - amount if self._holders else 0.0
            # Whoever was cancelled while it waited is dropped, and those behind it may fit now.
            self._serve()

    def _serve(self) -> None:
        while self._waiting:
            amount, turn = self._waiting[0]
            # The sum of floats may be off by a rounding error.
            if not turn.cancelled() and self.held + amount > self.total * (1 + 1e-9):
                return
            self._waiting.popleft()
            if not turn.cancelled():
                self._holders += 1
                self.held += amount
                self.used += amount
                turn.set_result(None)

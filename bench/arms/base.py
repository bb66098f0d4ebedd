"""What every arm is to the load generator: a name, and a coroutine from an order to a finished picture."""

from __future__ import annotations

from typing import Protocol

from bench.orders import Order


class Arm(Protocol):
    """One way to make the pictures. Safe for any number of orders at a time; an arm queues what it cannot run yet."""

    @property
    def name(self) -> str:
        """As the tables call it."""

    async def generate(self, order: Order) -> bytes:
        """Returns the finished picture, a PNG file of the photo's size."""

    async def close(self) -> None:
        """Stops what the arm has started."""

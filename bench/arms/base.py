"""What every arm is to the load generator: a name, and a coroutine from a request to a finished picture."""

from __future__ import annotations

from typing import Protocol

from bench.requests import BenchRequest


class Arm(Protocol):
    """One way to produce the pictures. Takes any number of requests at a time, and queues what it cannot run yet."""

    @property
    def name(self) -> str:
        """As the tables call it."""

    async def generate(self, request: BenchRequest) -> bytes:
        """Returns the finished picture, a PNG file of the photo's size."""

    async def close(self) -> None:
        """Stops what the arm has started."""

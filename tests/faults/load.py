"""Callers that send requests in a loop while faults are injected, and what became of every request."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import itertools
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import backdrop

STEPS = 8
SEEDS = 6
_TIMEOUT_S = 60.0


@dataclasses.dataclass(frozen=True)
class Outcome:
    """One request: when it was sent (monotonic), its seconds, and why it failed."""

    sent_at: float
    seconds: float
    problem: backdrop.BackdropError | None = None


@dataclasses.dataclass
class Tally:
    """What became of the requests.

    Attributes:
        outcomes: of every request that has ended.
        differing: number of pictures whose bytes are not those of the undisturbed site.
    """

    outcomes: list[Outcome] = dataclasses.field(default_factory=list)
    differing: int = 0

    @property
    def failed(self) -> list[backdrop.BackdropError]:
        """The errors of requests that failed."""
        return [outcome.problem for outcome in self.outcomes if outcome.problem]

    @property
    def made(self) -> int:
        """Number of requests that were answered."""
        return len(self.outcomes) - len(self.failed)

    @property
    def median_s(self) -> float:
        """The median of the answered requests' seconds."""
        return statistics.median(outcome.seconds for outcome in self.outcomes if not outcome.problem)

    @property
    def longest_s(self) -> float:
        """The longest of all requests' seconds."""
        return max((outcome.seconds for outcome in self.outcomes), default=0.0)


def options(seed: int, **changes: Any) -> dict[str, Any]:
    """A picture of `STEPS` steps from a prompt; the same seed is the same picture."""
    return {"prompt": "a beach at sunset", "seed": seed, "steps": STEPS, "timeout_s": _TIMEOUT_S, **changes}


def digest(result: backdrop.Result) -> str:
    """Of the bytes of all pictures."""
    return hashlib.sha256(b"".join(picture.data for picture in result.pictures)).hexdigest()


async def references(endpoint: str) -> list[str]:
    """The digests of the pictures of all seeds, made one after another."""
    async with backdrop.AsyncClient(endpoint, retries=0) as client:
        return [digest(await client.generate(backdrop.TextToImage(), **options(seed))) for seed in range(SEEDS)]


@contextlib.asynccontextmanager
async def callers(
    endpoints: Sequence[str], count: int = 3, *, expected: Sequence[str] = (), retries: int = 0, **changes: Any
) -> AsyncIterator[Tally]:
    """`count` callers send requests in a loop until the block ends; then the last answers are waited for.

    Args:
        endpoints: used in turn by the callers.
        count: number of callers.
        expected: the digests by seed that pictures are compared with; none = not compared.
        retries: of the SDK; 0 shows what the server alone survives.
        changes: options of every request; a `prompt` may hold `{number}`, which differs for every request.
    """
    tally, over, numbers = Tally(), asyncio.Event(), itertools.count()

    async def ask(client: backdrop.AsyncClient) -> None:
        while not over.is_set():
            number = next(numbers)
            values = options(number % SEEDS, **changes)
            values["prompt"] = values["prompt"].format(number=number)
            began, problem = time.monotonic(), None
            try:
                result = await client.generate(backdrop.TextToImage(), **values)
                tally.differing += bool(expected) and digest(result) != expected[number % SEEDS]
            except backdrop.BackdropError as failure:
                problem = failure
                await asyncio.sleep(0.1)  # a refusal may come at once
            tally.outcomes.append(Outcome(began, time.monotonic() - began, problem))

    async with contextlib.AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(backdrop.AsyncClient(endpoints[index % len(endpoints)], retries=retries))
            for index in range(count)
        ]
        group = await stack.enter_async_context(asyncio.TaskGroup())
        for client in clients:
            group.create_task(ask(client))
        try:
            yield tally
        finally:
            over.set()

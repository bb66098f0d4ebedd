"""The marks of idempotency: orchestrators are killed under load, and callers try again elsewhere with the same key."""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import itertools
import random
import signal
import time
import uuid
from typing import Any

import backdrop
from bench.emulated.costs import Cost
from bench.figures import Figure, at_most
from bench.reliability_site import emulated_site
from tests.faults.site import Site

TENANT = "shop"
_COST = Cost(40.0, 2.5)
_CALLERS = 4
_GIVE_UP_S = 90.0
_READY_S = 120.0
_REQUEST: dict[str, Any] = {"prompt": "a beach at sunset", "steps": 12, "timeout_s": 60.0}


@dataclasses.dataclass
class Outcome:
    """What became of the requests.

    Attributes:
        answered: seeds of the requests that have their pictures.
        lost: seeds of those that got none, whatever their callers tried.
        retried: number of attempts after the first.
    """

    answered: set[int] = dataclasses.field(default_factory=set)
    lost: set[int] = dataclasses.field(default_factory=set)
    retried: int = 0


async def _ask(clients: list[backdrop.AsyncClient], seed: int, outcome: Outcome) -> None:
    """One request with a key, at one orchestrator after the other until it has its pictures."""
    key, until = uuid.uuid4().hex, time.monotonic() + _GIVE_UP_S
    for attempt in itertools.count():
        try:
            client = clients[(seed + attempt) % len(clients)]
            await client.generate(backdrop.TextToImage(), seed=seed, idempotency_key=key, **_REQUEST)
            outcome.answered.add(seed)
            return
        except backdrop.UnavailableError:
            if time.monotonic() > until:
                break
            outcome.retried += 1
            await asyncio.sleep(0.05)
    outcome.lost.add(seed)


async def _kill(site: Site, clients: list[backdrop.AsyncClient], kills: int) -> None:
    """Kills the orchestrators in turn, each once both serve."""
    chance = random.Random(1)  # noqa: S311  (no secret)
    for kill in range(kills):
        for client in clients:
            await _until_serving(client)
        await asyncio.sleep(chance.uniform(0.3, 1.5))
        site.signal(f"orchestrator-{kill % 2}", signal.SIGKILL)


async def _until_serving(client: backdrop.AsyncClient) -> None:
    async with asyncio.timeout(_READY_S):
        while not await client.ready():  # noqa: ASYNC110  # asked over the wire
            await asyncio.sleep(0.05)


async def measure(kills: int) -> tuple[Outcome, collections.Counter[int]]:
    """What became of the requests during so many kills, and how often each one's work was finished, by its seed."""
    outcome, seeds = Outcome(), itertools.count()
    async with (
        emulated_site(_COST, [TENANT], tritons=1, settings={}) as (site, credentials),
        site.restarting(),
    ):
        clients = [backdrop.AsyncClient(each, credentials=credentials[TENANT], retries=0) for each in site.endpoints]
        over = asyncio.Event()

        async def call() -> None:
            while not over.is_set():
                await _ask(clients, next(seeds), outcome)

        async with asyncio.TaskGroup() as group:
            for _ in range(_CALLERS):
                group.create_task(call())
            await _kill(site, clients, kills)
            over.set()
        for client in clients:
            await client.close()
        records = [record for index in range(2) for record in site.events(f"orchestrator-{index}")]
    finished = collections.Counter(
        record["seed"]
        for record in records
        if record.get("event") == "request" and record.get("status") == "OK" and record.get("outcome") != "replayed"
    )
    return outcome, finished


def keys(command: str, kills: int = 50) -> list[Figure]:
    """Requests lost and done twice while orchestrators are killed."""
    outcome, finished = asyncio.run(measure(kills))
    twice = sorted(seed for seed, count in finished.items() if count > 1)
    if not outcome.answered <= finished.keys():
        raise RuntimeError(f"the logs do not have every request: {sorted(outcome.answered - finished.keys())[:5]}")
    said = f"{kills} kills, {len(outcome.answered)} requests made, {outcome.retried} attempts after the first"
    name = "kills of orchestrators under load, retries with keys"
    return [
        Figure(f"{name}: requests lost", len(outcome.lost), at_most(0), command, said),
        Figure(f"{name}: requests done twice", len(twice), at_most(0), command, said),
    ]

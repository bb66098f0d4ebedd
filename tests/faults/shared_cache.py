"""A Redis that is killed, stopped, slow, cut off or full of garbage while pictures are made: what callers notice."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import random
import secrets
import signal
import statistics
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

from redis.asyncio import Redis

import backdrop
from tests.faults.load import options
from tests.faults.proxy import Link
from tests.faults.site import Site

_ROUNDS = 2
Fault = Callable[[Site], AbstractAsyncContextManager[None]]


@dataclasses.dataclass(frozen=True)
class CacheReport:
    """What a fault of Redis did.

    Attributes:
        made: number of requests that were answered during the fault.
        failed: errors of those that were not.
        calm_ms: median of a request's milliseconds before and after.
        fault_ms: median during the fault.
        back_s: seconds from the end of the fault until Redis was used again.
    """

    made: int
    failed: list[str]
    calm_ms: float
    fault_ms: float
    back_s: float

    @property
    def added_ms(self) -> float:
        """What the fault adds to a request at the median."""
        return self.fault_ms - self.calm_ms


@contextlib.asynccontextmanager
async def killed(site: Site) -> AsyncIterator[None]:
    """Nothing listens on its port."""
    site.signal("redis", signal.SIGKILL)
    yield
    await site.restart("redis")


@contextlib.asynccontextmanager
async def stopped(site: Site) -> AsyncIterator[None]:
    """It accepts connections and answers nothing."""
    site.signal("redis", signal.SIGSTOP)
    yield
    site.signal("redis", signal.SIGCONT)


@contextlib.asynccontextmanager
async def filled(site: Site) -> AsyncIterator[None]:
    """Its keys hold random bytes, values of other keys, and values of other types, again and again."""
    dice, over = random.Random(3), asyncio.Event()

    async def fill(redis: Redis) -> None:
        while not over.is_set():
            keys = await redis.keys("backdrop:*")
            values = {key: await redis.dump(key) for key in keys}
            for key in keys:
                kind = dice.randrange(3)
                if kind == 0:
                    await redis.set(key, secrets.token_bytes(dice.randrange(1, 5000)))
                elif kind == 1:
                    # In one transaction: an orchestrator may write the key between the two.
                    pipeline = redis.pipeline()
                    pipeline.delete(key)
                    pipeline.rpush(key, b"a list")
                    await pipeline.execute()
                elif (other := values[dice.choice(keys)]) is not None:
                    await redis.restore(key, 0, other, replace=True)
            await asyncio.sleep(0.05)

    async with Redis.from_url(site.child("redis").service.endpoint) as redis:
        task = asyncio.create_task(fill(redis))
        try:
            yield
        finally:
            over.set()  # redis-py may swallow a cancellation
            await task
        await redis.flushall()


@contextlib.asynccontextmanager
async def _linked(site: Site, link: Link) -> AsyncIterator[None]:
    site.proxies["redis"].link = link
    yield
    site.proxies["redis"].mend()


def slow(site: Site) -> AbstractAsyncContextManager[None]:
    """Every answer is 500 ms late."""
    return _linked(site, Link(latency_s=0.25))


def narrow(site: Site) -> AbstractAsyncContextManager[None]:
    """20 KB/s in each direction."""
    return _linked(site, Link(bytes_per_s=20_000))


def spoiled(site: Site) -> AbstractAsyncContextManager[None]:
    """Random bytes replace its answers."""
    return _linked(site, Link(garbage=True))


def partitioned(site: Site) -> AbstractAsyncContextManager[None]:
    """Nothing passes on any connection."""
    return _linked(site, Link(silent=True))


@contextlib.asynccontextmanager
async def cut(site: Site) -> AsyncIterator[None]:
    """Connections are closed at once."""
    site.proxies["redis"].cut()
    yield
    site.proxies["redis"].mend()


@contextlib.asynccontextmanager
async def half_open(site: Site) -> AsyncIterator[None]:
    """The connections of the moment forward nothing more, at the beginning and again and again."""

    async def silence() -> None:
        while True:
            site.proxies["redis"].silence()
            await asyncio.sleep(0.5)

    task = asyncio.create_task(silence())
    yield
    task.cancel()


@contextlib.asynccontextmanager
async def full(site: Site) -> AsyncIterator[None]:
    """Its memory is full and it evicts nothing, so it refuses writes."""
    async with Redis.from_url(site.child("redis").service.endpoint) as redis:
        await redis.config_set("maxmemory-policy", "noeviction")
        await redis.config_set("maxmemory", "1mb")
        yield
        await redis.config_set("maxmemory", "256mb")
        await redis.config_set("maxmemory-policy", "allkeys-lru")


FAULTS: dict[str, Fault] = {
    "killed": killed,
    "stopped": stopped,
    "filled with garbage": filled,
    "slow by 500 ms": slow,
    "20 KB/s": narrow,
    "random answers": spoiled,
    "partitioned": partitioned,
    "cut": cut,
    "half open": half_open,
    "out of memory": full,
}


async def disturbed(site: Site, fault: Fault, count: int) -> CacheReport:
    """Makes `count` pictures with a fault, and as many without, in rounds so that the machine's mood cancels out."""
    calm, seconds, failed, back_s = list[float](), list[float](), list[str](), 0.0
    each = max(1, count // _ROUNDS)
    async with backdrop.AsyncClient(site.endpoints[0], retries=0) as client:
        for _ in range(_ROUNDS):
            times, problems = await _requests(client, each)
            assert not problems, problems
            calm += times
            async with fault(site):
                times, problems = await _requests(client, each)
            seconds += times
            failed += problems
            back_s = max(back_s, await site.wait_gauge("backdrop_redis_available", 1))
    return CacheReport(
        made=len(seconds),
        failed=failed,
        calm_ms=1000 * statistics.median(calm),
        fault_ms=1000 * statistics.median(seconds) if seconds else 0.0,
        back_s=back_s,
    )


async def _requests(client: backdrop.AsyncClient, count: int) -> tuple[list[float], list[str]]:
    """Requests of which no two share a cached value; each keeps its result under a key."""
    times, problems = [], []
    for number in range(count):
        name = uuid.uuid4().hex
        began = time.monotonic()
        try:
            values = options(number, prompt=f"a beach {name}", steps=2, idempotency_key=name)
            await client.generate(backdrop.TextToImage(), **values)
        except backdrop.BackdropError as problem:
            problems.append(f"{problem.reason}: {problem}")
        else:
            times.append(time.monotonic() - began)
    return times, problems

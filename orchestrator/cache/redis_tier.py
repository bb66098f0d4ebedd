"""The second tier: Redis, shared by all orchestrators, and never trusted to be there, to be quick, or to be right."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import MaxConnectionsError, RedisError, ResponseError

from orchestrator.cache.breaker import Breaker

log = structlog.get_logger("orchestrator.cache")

_T = TypeVar("_T")

# For what no request waits for: connecting, writing, and reading a value that is known to be there.
_PATIENT_S = 1.0
_READ_S = 0.25
_MAX_CONNECTIONS = 64
_MAX_WRITES = 64
# Our own loop may have been busy elsewhere for the whole time; that says nothing about Redis.
_LOOP_LAG_S = 0.010


class RedisTier:
    """Bytes by key. No method raises: a failure is a miss, and opens the breaker. Made where the event loop runs.

    Args:
        url: redis://, rediss:// or unix://.
        timeout_s: for a look-up that a request waits for.
        heard: hears "redis_timeout", "redis_error", "redis_dropped", "breaker_opened" and "breaker_closed".

    Raises:
        ValueError: the URL has another scheme.
    """

    def __init__(self, url: str, *, timeout_s: float, heard: Callable[[str], None]) -> None:
        self._timeout_s = timeout_s
        self._heard = heard
        self._redis = Redis.from_url(
            url,
            protocol=2,
            # Two commands less before a new connection can be used.
            driver_info=None,
            # A backstop: every command has a limit of its own, which knows when our loop was late.
            socket_timeout=2 * max(_PATIENT_S, timeout_s),
            socket_connect_timeout=2 * max(_PATIENT_S, timeout_s),
            # A retry would spend a request's time on what the breaker does better.
            retry=Retry(NoBackoff(), 0),
            max_connections=_MAX_CONNECTIONS,
        )
        self._breaker = Breaker(self._probe, self._changed)
        self._writes: set[asyncio.Task[None]] = set()
        # Connecting may take longer than a look-up is worth: no request waits for the first connection.
        self._breaker.prove()

    @property
    def available(self) -> bool:
        """Whether asking makes sense now."""
        return self._breaker.closed

    async def get(self, key: str) -> bytes | None:
        """Returns the value, or None within the timeout."""
        return await self._guarded(lambda: self._read(key), self._timeout_s)

    async def get_large(self, key: str) -> bytes | None:
        """Returns a value of megabytes, or None; a Redis that does not answer costs no more than with `get`.

        Only once Redis has said that the value is there may reading it take longer.
        """
        if not await self._guarded(lambda: self._redis.exists(key), self._timeout_s):
            return None
        return await self._guarded(lambda: self._read(key), _READ_S)

    def put(self, key: str, data: bytes, ttl_s: int) -> asyncio.Task[None] | None:
        """Writes in the background; returns the task, or None when the write was dropped."""
        if not self._breaker.closed:
            return None
        if len(self._writes) >= _MAX_WRITES:
            self._heard("redis_dropped")
            return None
        task = asyncio.create_task(self._write(key, data, ttl_s))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        return task

    async def put_soon(self, key: str, data: bytes, ttl_s: int) -> None:
        """Writes, and waits for it as long as for a look-up; the write itself may take longer."""
        task = self.put(key, data, ttl_s)
        if task is not None:
            await asyncio.wait({task}, timeout=self._timeout_s)

    async def close(self) -> None:
        """Ends the writes under way, waiting a moment for them, and closes the connections."""
        if self._writes:
            _, late = await asyncio.wait(self._writes, timeout=_PATIENT_S)
            for task in late:
                task.cancel()
        await self._breaker.stop()
        await self._redis.aclose()

    async def _read(self, key: str) -> bytes | None:
        value: Any = await self._redis.get(key)
        return value if isinstance(value, bytes) else None

    async def _write(self, key: str, data: bytes, ttl_s: int) -> None:
        await self._guarded(lambda: self._redis.set(key, data, ex=ttl_s), _PATIENT_S)

    async def _guarded(self, command: Callable[[], Awaitable[_T]], timeout_s: float) -> _T | None:
        """Returns the command's answer, or None if there is none in time or the breaker is open."""
        if not self._breaker.closed:
            return None
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            async with asyncio.timeout(timeout_s):
                return await command()
        except TimeoutError:
            self._heard("redis_timeout")
            if clock() - began < timeout_s + _LOOP_LAG_S:
                self._breaker.trip()
        except ResponseError as problem:
            # It answered: a key of another type, or memory full. Other keys may well work.
            log.warning("redis refused", why=str(problem))
            self._heard("redis_error")
        except MaxConnectionsError:
            # We ask more at once than we allow ourselves; Redis is not to blame.
            self._heard("redis_dropped")
        except (RedisError, OSError) as problem:
            log.debug("redis failed", why=str(problem))
            self._heard("redis_error")
            self._breaker.trip()
        return None

    async def _probe(self) -> None:
        await _within(self._redis.ping(), _PATIENT_S)
        # The first may have had to connect. This one shows what a request would wait.
        await _within(self._redis.ping(), self._timeout_s)

    def _changed(self, event: str) -> None:
        if event == "breaker_opened":
            log.warning("redis does not answer in time; going on without it")
        else:
            log.info("redis answers")
        self._heard(event)


async def _within(command: Awaitable[object], seconds: float) -> None:
    async with asyncio.timeout(seconds):
        await command

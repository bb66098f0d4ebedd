"""The second tier: Redis, shared by all orchestrators. It may be down, slow or wrong at any time."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AskError,
    ClusterDownError,
    InvalidResponse,
    MaxConnectionsError,
    MovedError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)

from orchestrator.cache.breaker import Breaker
from orchestrator.telemetry.foreign import quoted

log = structlog.get_logger("orchestrator.cache")

_T = TypeVar("_T")

# For commands that no request waits for (connecting, writing), and for reading a value that exists.
_LONG_S = 1.0
_READ_LARGE_S = 0.25
_MAX_CONNECTIONS = 64
_MAX_WRITES = 64
# Scripts are small, and one that is dropped leaves something held until it expires.
_MAX_SCRIPTS = 1024
_PROBE_KEY = "backdrop:probe"
# If a timeout comes later than this, our own event loop was busy, which says nothing about Redis.
_LOOP_LAG_S = 0.010


@dataclasses.dataclass(frozen=True)
class Script:
    """A Lua script that Redis runs in one step, with its keys and arguments; it returns a table."""

    text: str
    keys: tuple[str, ...]
    arguments: tuple[str | int | float, ...]


class RedisTier:
    """Bytes by key. No method raises: a failure is a miss, and opens the breaker. Made inside the event loop.

    Args:
        url: redis://, rediss:// or unix://.
        timeout_s: for a look-up that a request waits for.
        report: is told "redis_timeout", "redis_error", "redis_refused", "redis_dropped", "breaker_opened" and
            "breaker_closed".

    Raises:
        ValueError: the URL has another scheme.
    """

    def __init__(self, url: str, *, timeout_s: float, report: Callable[[str], None]) -> None:
        self._timeout_s = timeout_s
        self._report = report
        self._redis = Redis.from_url(
            url,
            protocol=2,
            # Saves two commands on every new connection.
            driver_info=None,
            # A last resort: every command has a shorter limit of its own, which allows for a busy event loop.
            socket_timeout=2 * max(_LONG_S, timeout_s),
            socket_connect_timeout=2 * max(_LONG_S, timeout_s),
            # A retry would delay the request; the breaker probes in the background instead.
            retry=Retry(NoBackoff(), 0),
            max_connections=_MAX_CONNECTIONS,
        )
        self._why = ""
        self._fell = False
        """Whether it has said that it is no primary; then it is connected anew, and must take a write."""
        self._kind_known = False
        self._unserved = ""
        self._probed = asyncio.Event()
        self._told: set[tuple[str, str]] = set()
        """The refusals of single commands that are in the log since Redis was last connected to."""
        self._breaker = Breaker(self._probe, self._changed)
        self._writes: set[asyncio.Task[None]] = set()
        # Connecting may take longer than a look-up saves, so no request waits for the first connection.
        self._breaker.prove()

    @property
    def available(self) -> bool:
        """Whether Redis is used now."""
        return self._breaker.closed

    async def unserved(self) -> str:
        """What kind of Redis it is, if that kind is not served, else empty; waits for the first answer, 3 s at most."""
        await self._probed.wait()
        return self._unserved

    async def get(self, key: str) -> bytes | None:
        """Returns the value, or None within the timeout."""
        return await self._guarded(lambda: self._read(key), self._timeout_s)

    async def get_large(self, key: str) -> bytes | None:
        """Returns a value of megabytes, or None.

        The read may take longer than the timeout, but only after Redis has confirmed in time that the value exists.
        """
        if not await self._guarded(lambda: self._redis.exists(key), self._timeout_s):
            return None
        return await self._guarded(lambda: self._read(key), _READ_LARGE_S)

    def put(self, key: str, data: bytes, ttl_s: int, then: Script | None = None) -> asyncio.Task[None] | None:
        """Writes in the background, then runs a script; returns the task, or None if the write was dropped."""
        return self._later(lambda: self._write(key, data, ttl_s, then), _MAX_WRITES)

    async def run(self, script: Script) -> Any:
        """What the script returns, or None within the timeout: Redis is not used, or refused the script."""
        return await self._guarded(lambda: self._eval(script), self._timeout_s)

    async def run_soon(self, script: Script) -> Any:
        """The same for what no request waits for: it may take longer."""
        return await self._guarded(lambda: self._eval(script), _LONG_S)

    def run_later(self, script: Script) -> asyncio.Task[None] | None:
        """Runs a script in the background; returns the task, or None if it was dropped."""
        return self._later(lambda: self.run_soon(script), _MAX_SCRIPTS)

    async def close(self) -> None:
        """Waits for pending writes, 1 s at most, and closes the connections."""
        if self._writes:
            _, late = await asyncio.wait(self._writes, timeout=_LONG_S)
            for task in late:
                task.cancel()
        await self._breaker.stop()
        await self._redis.aclose()

    async def _read(self, key: str) -> bytes | None:
        value: Any = await self._redis.get(key)
        return value if isinstance(value, bytes) else None

    def _later(self, work: Callable[[], Coroutine[Any, Any, Any]], most: int) -> asyncio.Task[None] | None:
        if not self._breaker.closed:
            return None
        if len(self._writes) >= most:
            self._report("redis_dropped")
            return None
        task = asyncio.create_task(work())
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        return task

    async def _write(self, key: str, data: bytes, ttl_s: int, then: Script | None) -> None:
        await self._guarded(lambda: self._redis.set(key, data, ex=ttl_s), _LONG_S)
        if then is not None:
            await self.run_soon(then)

    async def _eval(self, script: Script) -> Any:
        return await self._redis.eval(script.text, len(script.keys), *script.keys, *script.arguments)

    async def _guarded(self, command: Callable[[], Awaitable[_T]], timeout_s: float) -> _T | None:
        """Returns the command's answer, or None if there is none in time or the breaker is open."""
        if not self._breaker.closed:
            return None
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            return await _limited(command(), timeout_s)
        except TimeoutError:
            self._why = "it does not answer in time"
            self._report("redis_timeout")
            if clock() - began < timeout_s + _LOOP_LAG_S:
                self._breaker.trip()
        except (ReadOnlyError, MovedError, AskError, ClusterDownError) as problem:
            # It is no longer the primary, or never was: the name may lead to another one now.
            self._why, self._fell = self._quoted(problem), True
            self._report("redis_error")
            self._breaker.trip()
        except ResponseError as problem:
            # Redis answered: the key has another type, its memory or its disk is full. Other commands may work.
            self._refused(problem)
        except MaxConnectionsError:
            # Our own bound of connections, not a fault of Redis.
            self._report("redis_dropped")
        except Exception as problem:  # of redis-py, or of what answers in the place of Redis
            self._why = self._quoted(problem)
            self._report("redis_error")
            self._breaker.trip()
        return None

    async def _probe(self) -> None:
        try:
            if self._fell:
                await self._redis.connection_pool.disconnect()
            await _within(self._redis.ping(), _LONG_S)  # it may include connecting
            # Before the next ping, which a busy machine may fail: a kind that is not served stays so.
            await self._check_kind()
            # This one shows how long a request would wait.
            await _within(self._redis.ping(), self._timeout_s)
            if self._fell:
                await _within(self._redis.set(_PROBE_KEY, b"", ex=1), _LONG_S)
                self._fell = False
        except TimeoutError:
            self._why = "it does not answer in time"
            raise
        except Exception as problem:
            self._why = self._quoted(problem)
            raise
        finally:
            self._probed.set()

    async def _check_kind(self) -> None:
        """Refuses a member of a cluster and a Sentinel, once for each connection to another server."""
        if self._kind_known and not self._fell:
            return
        try:
            info: Any = await self._redis.info("server")
        except ResponseError:
            return  # the user may not ask
        kind = info.get("redis_mode") or info.get("server_mode", "standalone")  # Redis' name, and Valkey's
        if kind != "standalone":
            why = f"it runs in {kind} mode, which is not served; name one primary, or a proxy before it"
            if why != self._unserved:
                # Told even if the breaker was open before, for another reason.
                self._unserved = why
                log.error("redis cannot be used", why=why)
            raise RedisError(why)
        self._kind_known, self._unserved = True, ""

    def _refused(self, problem: ResponseError) -> None:
        """Counts a refusal, and logs the first one of its kind: each request might meet it again."""
        self._report("redis_refused")
        kind = type(problem).__name__, str(problem).partition(" ")[0]
        if kind not in self._told:
            self._told.add(kind)
            log.warning("redis refuses a command; going on without its answer", why=self._quoted(problem))

    def _quoted(self, problem: Exception) -> str:
        """Redis' own words; it may repeat what it was sent, so without values and the password."""
        if isinstance(problem, InvalidResponse):
            return "it does not speak Redis' protocol"  # redis-py quotes the bytes
        secret = self._redis.connection_pool.connection_kwargs.get("password") or ""
        return quoted(str(problem), secret) or type(problem).__name__

    def _changed(self, event: str) -> None:
        if event == "breaker_opened":
            log.warning("redis is not used; going on without it", why=self._why or "it does not answer in time")
        else:
            self._told.clear()
            log.info("redis answers")
        self._report(event)


async def _limited(command: Awaitable[_T], seconds: float) -> _T:
    """The command's answer; raises TimeoutError in time even if redis-py swallows the cancellation."""
    task = asyncio.ensure_future(command)
    try:
        if not (await asyncio.wait({task}, timeout=seconds))[0]:
            raise TimeoutError
        return task.result()
    finally:
        if not task.done():
            task.add_done_callback(lambda late: late.cancelled() or late.exception())
            task.cancel()


async def _within(command: Awaitable[object], seconds: float) -> None:
    async with asyncio.timeout(seconds):
        await command

"""Leases: a name that one process of all orchestrators holds at a time, and that outlives a dead holder by seconds."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable

from orchestrator.cache.redis_tier import RedisTier, Script

TTL_S = 6.0
"""After so long without a renewal, which a stopped or dead holder does not send, another one takes over."""
_RENEWALS = 3
_POLL_S = 0.05
_LONGEST_POLL_S = 0.25

# Takes the name unless another one holds it; also renews, and takes again what Redis has lost.
_TAKE = """
local value = redis.call('TYPE', KEYS[1]).ok == 'string' and redis.call('GET', KEYS[1])
if value and value ~= ARGV[1] then return {value} end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {ARGV[1]}
"""
_RELEASE = """
if redis.call('TYPE', KEYS[1]).ok == 'string' and redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('DEL', KEYS[1])
end
return {1}
"""


class Lease:
    """A name that is held, and renewed until `release`."""

    def __init__(self, redis: RedisTier | None, key: str, value: str) -> None:
        self._redis, self._key, self._value = redis, key, value
        self._renewal = asyncio.create_task(self._renew()) if redis else None

    def release(self, after: asyncio.Task[None] | None = None) -> None:
        """Gives the name back, once a task is done if there is one; nobody waits for it."""
        if self._redis is None or self._renewal is None:
            return
        if after is None or after.done():
            self._end()
        else:
            after.add_done_callback(lambda _: self._end())

    def _end(self) -> None:
        assert self._redis is not None
        assert self._renewal is not None
        self._renewal.cancel()
        self._redis.run_later(Script(_RELEASE, (self._key,), (self._value,)))

    async def _renew(self) -> None:
        assert self._redis is not None
        while True:
            await asyncio.sleep(TTL_S / _RENEWALS)
            await self._redis.run_soon(Script(_TAKE, (self._key,), (self._value, int(1000 * TTL_S))))


class Leases:
    """Names in Redis. Without Redis, or while it does not answer, every name is free.

    Args:
        redis: the shared tier; None: there is one process.
        namespace: in front of every key in Redis.
    """

    def __init__(self, redis: RedisTier | None, namespace: str = "backdrop") -> None:
        self._redis = redis
        self._namespace = namespace

    async def hold(self, name: str, note: str, wait: Callable[[str], None]) -> Lease:
        """Waits until no other process holds `name`, and takes it.

        Args:
            name: what is held.
            note: what other processes are told of the holder; without spaces.
            wait: is called with the note of each other holder before its end is waited for; it may raise.
        """
        key, value = f"{self._namespace}:lease:{name}", f"{note} {secrets.token_hex(8)}"
        if self._redis is None:
            return Lease(None, key, value)
        pause_s = _POLL_S
        while True:
            answer = await self._redis.run(Script(_TAKE, (key,), (value, int(1000 * TTL_S))))
            holder = _text(answer)
            if holder is None or holder == value:
                return Lease(self._redis, key, value)
            wait(holder.partition(" ")[0])
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_POLL_S)


def _text(answer: object) -> str | None:
    first = answer[0] if isinstance(answer, list) and answer else None
    return first.decode("utf-8", "replace") if isinstance(first, bytes) else None

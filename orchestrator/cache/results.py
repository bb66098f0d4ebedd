"""Whole results by name: a class of values with bounds of its own, so that pictures do not push embeddings out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from orchestrator.cache.codec import CacheCorrupt, seal, unseal
from orchestrator.cache.memory import MemoryTier
from orchestrator.cache.redis_tier import RedisTier, Script

log = structlog.get_logger("orchestrator.cache")

# Counts a value for its owner, then drops the oldest of the owner with the most bytes until the class fits.
# An owner's entries are a sorted set: "<bytes> <name>" by the time at which it expires.
_COUNT = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local function expect(key, kind)
  local is = redis.call('TYPE', key).ok
  if is ~= kind and is ~= 'none' then redis.call('DEL', key) end
end
local function drop(owner, member)
  redis.call('ZREM', ARGV[1] .. owner, member)
  local size = tonumber(string.match(member, '^(%d+) ')) or 0
  local rest = redis.call('HINCRBY', KEYS[1], owner, -size)
  if rest <= 0 then redis.call('HDEL', KEYS[1], owner) end
end
expect(KEYS[1], 'hash')
expect(KEYS[2], 'zset')
redis.call('ZADD', KEYS[2], now + ARGV[4], ARGV[3] .. ' ' .. ARGV[2])
redis.call('HINCRBY', KEYS[1], ARGV[5], ARGV[3])
for _, key in ipairs(KEYS) do
  if redis.call('PTTL', key) < tonumber(ARGV[4]) then redis.call('PEXPIRE', key, ARGV[4]) end
end
for round = 1, 100 do
  local total, most, largest = 0, 0, nil
  local sizes = redis.call('HGETALL', KEYS[1])
  for i = 1, #sizes, 2 do
    local owner, size = sizes[i], tonumber(sizes[i + 1]) or 0
    if round == 1 then
      for _, member in ipairs(redis.call('ZRANGEBYSCORE', ARGV[1] .. owner, '-inf', now, 'LIMIT', 0, 100)) do
        drop(owner, member)
      end
      if redis.call('EXISTS', ARGV[1] .. owner) == 0 then redis.call('HDEL', KEYS[1], owner) end
      size = tonumber(redis.call('HGET', KEYS[1], owner)) or 0
    end
    total = total + size
    if size > most then most, largest = size, owner end
  end
  if total <= tonumber(ARGV[6]) or not largest then break end
  local oldest = redis.call('ZRANGE', ARGV[1] .. largest, 0, 0)[1]
  if not oldest then redis.call('HDEL', KEYS[1], largest)
  else
    drop(largest, oldest)
    redis.call('UNLINK', string.match(oldest, ' (.*)$'))
  end
end
return {1}
"""


class ResultStore:
    """Bytes by name, in this process and in Redis. Its failures are misses.

    Args:
        redis: the shared tier; None keeps everything in this process.
        memory_bytes: bound of what this process keeps; the least recently used is dropped first.
        redis_bytes: bound of what Redis keeps of all orchestrators; the oldest of the owner with the most is dropped.
        namespace: in front of every key in Redis.
        report: is told "memory", "redis" or "miss" for each look-up, and "corrupt".
    """

    def __init__(
        self,
        redis: RedisTier | None,
        *,
        memory_bytes: int,
        redis_bytes: int,
        namespace: str,
        report: Callable[[str], None],
    ) -> None:
        self._redis = redis
        self._memory: MemoryTier[bytes] = MemoryTier(memory_bytes)
        self._redis_bytes = redis_bytes
        self._namespace = namespace
        self._report = report

    def sizes_key(self) -> str:
        """The hash in Redis that has the stored bytes of each owner."""
        return f"{self._namespace}:stored"

    def index_key(self, owner: str) -> str:
        """The sorted set in Redis that has an owner's entries by the time at which they expire."""
        return f"{self._namespace}:stored:{owner}"

    async def get(self, name: str) -> bytes | None:
        """Returns the bytes that `put` kept under `name`, or None."""
        key = self._key(name)
        kept = self._memory.get(key)
        if kept is not None:
            self._report("memory")
            return kept
        stored = await self._redis.get_large(key) if self._redis else None
        if stored is not None:
            try:
                data = bytes(unseal(stored, key.encode()))
            except CacheCorrupt as problem:
                log.warning("corrupt cache entry", key=key, why=str(problem))
                self._report("corrupt")
            else:
                self._report("redis")
                return data
        self._report("miss")
        return None

    def has(self, name: str) -> bool:
        """Whether this process has the bytes; says nothing about Redis."""
        return self._memory.get(self._key(name)) is not None

    def put(self, name: str, data: bytes, ttl_s: int, owner: str = "") -> asyncio.Task[None] | None:
        """Keeps `data` for `ttl_s` seconds: here at once, in Redis by the time the task is done, if there is one.

        `owner` is whom the bytes are counted for.
        """
        key = self._key(name)
        self._memory.put(key, data, len(data), ttl_s)
        if self._redis is None:
            return None
        sealed = seal(data, key.encode())
        arguments = (self.index_key(""), key, len(sealed), 1000 * ttl_s, owner, self._redis_bytes)
        count = Script(_COUNT, (self.sizes_key(), self.index_key(owner)), arguments)
        return self._redis.put(key, sealed, ttl_s, count)

    def _key(self, name: str) -> str:
        return f"{self._namespace}:b:{name}"

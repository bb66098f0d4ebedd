"""The counts of one tenant in Redis, each change in one step. Redis' own clock decides, and garbage is dropped.

KEYS[1]  running requests: a sorted set of request ids by the time at which they expire unless they are renewed
KEYS[2]  work: a token bucket, as a hash of `level` (row-steps × megapixels that may be spent) and `at` (ms)
KEYS[3]  stored results: "<bytes> <name>" by the time at which they expire; `cache/results.py` writes it
"""

from __future__ import annotations

from orchestrator.quotas.limits import CONCURRENT, STORED, WORK

_COUNTS = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
for i, kind in ipairs({'zset', 'hash', 'zset'}) do
  local is = redis.call('TYPE', KEYS[i]).ok
  if is ~= kind and is ~= 'none' then redis.call('DEL', KEYS[i]) end
end
local function running()
  redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
  return redis.call('ZCARD', KEYS[1])
end
local function level(capacity)
  local kept = tonumber(redis.call('HGET', KEYS[2], 'level') or '')
  local at = tonumber(redis.call('HGET', KEYS[2], 'at') or '')
  if not kept or not at or kept ~= kept then return capacity end
  return math.min(capacity, kept + math.max(0, now - at) * capacity / 60000)
end
local function stored()
  local sum = 0
  for _, entry in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], now, '+inf')) do
    sum = sum + (tonumber(string.match(entry, '^(%d+) ')) or 0)
  end
  return sum
end
"""

TAKE = (
    _COUNTS
    + f"""
local request, concurrent, lease = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local work, capacity, bytes = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
if concurrent > 0 and running() >= concurrent then return {{'{CONCURRENT}', 0}} end
if bytes > 0 and stored() >= bytes then
  local first = redis.call('ZRANGEBYSCORE', KEYS[3], now, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  return {{'{STORED}', tonumber(first[2]) - now}}
end
if capacity > 0 then
  local level, need = level(capacity), math.min(work, capacity)
  if level < need then return {{'{WORK}', math.ceil((need - level) * 60000 / capacity)}} end
  redis.call('HSET', KEYS[2], 'level', level - work, 'at', now)
  redis.call('PEXPIRE', KEYS[2], math.ceil((capacity - level + work) * 60000 / capacity) + 1000)
end
if concurrent > 0 then
  redis.call('ZADD', KEYS[1], now + lease, request)
  redis.call('PEXPIRE', KEYS[1], lease)
end
return {{'', 0}}
"""
)
"""ARGV: request, concurrent requests, lease in ms, work, work a minute, stored bytes; limits of 0 are not looked at.

Returns the name of the quota that is spent, or "", and the ms until it may be enough again (0 = unknown)."""

GIVE = (
    _COUNTS
    + """
redis.call('ZREM', KEYS[1], ARGV[1])
local unspent, capacity = tonumber(ARGV[2]), tonumber(ARGV[3])
if unspent > 0 and capacity > 0 and redis.call('EXISTS', KEYS[2]) == 1 then
  redis.call('HSET', KEYS[2], 'level', math.min(capacity, level(capacity) + unspent), 'at', now)
end
return {1}
"""
)
"""ARGV: request, work that was taken and not done, work a minute."""

RENEW = (
    _COUNTS
    + """
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[i]) end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return {1}
"""
)
"""ARGV: lease in ms, requests that still run."""

USE = (
    _COUNTS
    + """
local capacity = tonumber(ARGV[1])
return {running(), tostring(capacity - level(capacity)), tostring(stored())}
"""
)
"""ARGV: work a minute. Returns running requests, work that has not refilled yet, and stored bytes."""

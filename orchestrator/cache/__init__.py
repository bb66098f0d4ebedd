"""The cache: two tiers of content-addressed arrays and results. Its failures never fail or delay a request."""

from __future__ import annotations

from orchestrator.cache.address import UnservedRedisError
from orchestrator.cache.codec import CacheCorrupt, decode, encode
from orchestrator.cache.keys import key
from orchestrator.cache.two_tier import CacheObserver, Lookup, TwoTierCache

__all__ = ["CacheCorrupt", "CacheObserver", "Lookup", "TwoTierCache", "UnservedRedisError", "decode", "encode", "key"]

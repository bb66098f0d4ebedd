"""Idempotency keys: the first call with a key works, the others wait for it and get its result."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
from collections.abc import AsyncIterator
from typing import Protocol

from backdrop.errors import Reason, error
from backdrop.v1 import generation_service_pb2 as pb

_DIGEST_BYTES = 32


class ByteStore(Protocol):
    """The part of `TwoTierCache` that keeps whole results."""

    async def get_bytes(self, key: str) -> bytes | None: ...
    async def set_bytes(self, key: str, data: bytes, ttl_s: int) -> None: ...


@dataclasses.dataclass
class Claim:
    """The right to work under a key. Either `replay` holds an earlier result, or the holder sets `result`."""

    replay: pb.GenerateResult | None = None
    result: pb.GenerateResult | None = None


class Idempotency:
    """Results by key, in the shared store and, while a call runs, in this process."""

    def __init__(self, store: ByteStore, ttl_s: int) -> None:
        self._store = store
        self._ttl_s = ttl_s
        self._running: dict[str, tuple[bytes, asyncio.Event]] = {}

    @contextlib.asynccontextmanager
    async def claim(self, request: pb.GenerateRequest) -> AsyncIterator[Claim]:
        """Waits for a running call with the same key, then replays its result or lets the caller work.

        If the running call fails or is cancelled, one of those who wait takes over. A request without a key works
        at once and is kept nowhere.

        Raises:
            ConflictError: the key belongs to another request.
        """
        key = request.idempotency_key
        if not key:
            yield Claim()
            return
        digest = request_digest(request)
        while running := self._running.get(key):
            _check(running[0], digest)
            await running[1].wait()
        done = asyncio.Event()
        self._running[key] = (digest, done)
        try:
            claim = Claim(replay=await self._load(key, digest))
            yield claim
            if claim.result is not None:
                await self._store.set_bytes(_name(key), digest + claim.result.SerializeToString(), self._ttl_s)
        finally:
            del self._running[key]
            done.set()

    async def _load(self, key: str, digest: bytes) -> pb.GenerateResult | None:
        stored = await self._store.get_bytes(_name(key))
        if stored is None or len(stored) < _DIGEST_BYTES:
            return None
        _check(stored[:_DIGEST_BYTES], digest)
        result = pb.GenerateResult.FromString(stored[_DIGEST_BYTES:])
        result.replayed = True
        return result


def request_digest(request: pb.GenerateRequest) -> bytes:
    """SHA-256 of everything in the request but its key."""
    bare = pb.GenerateRequest()
    bare.CopyFrom(request)
    bare.ClearField("idempotency_key")
    return hashlib.sha256(bare.SerializeToString(deterministic=True)).digest()


def _check(theirs: bytes, ours: bytes) -> None:
    if theirs != ours:
        message = "idempotency_key was used with another request; take a new key for a new request."
        raise error(Reason.IDEMPOTENCY_KEY_REUSED, message, field="idempotency_key")


def _name(key: str) -> str:
    return "result:" + hashlib.sha256(key.encode()).hexdigest()

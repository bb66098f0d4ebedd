"""Idempotency keys: the first call with a key does the work, further calls wait for it and get its pictures."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from typing import Protocol

from backdrop.errors import Reason, error
from backdrop.v1 import generation_service_pb2 as pb

_DIGEST_BYTES = 32


class ByteStore(Protocol):
    """The part of `TwoTierCache` that keeps whole results."""

    async def get_bytes(self, key: str) -> bytes | None: ...
    def has_bytes(self, key: str) -> bool: ...
    async def set_bytes(self, key: str, data: bytes, ttl_s: int) -> None: ...


class Claim:
    """What a call may do with its key: `replay` the messages of an earlier call, or work and `keep` its own."""

    def __init__(self, replay: list[pb.GenerateResponse] | None = None, record: _Record | None = None) -> None:
        self.replay = replay
        self._record = record

    async def keep(self, message: pb.GenerateResponse) -> None:
        """Stores a picture, or the summary, which completes the result. Other events are not kept."""
        if self._record is not None:
            await self._record.write(message)


class Idempotency:
    """Results by key in the shared store, and the keys of the calls that run in this process."""

    def __init__(self, store: ByteStore, ttl_s: int) -> None:
        self._store = store
        self._ttl_s = ttl_s
        self._running: dict[str, tuple[bytes, asyncio.Event]] = {}

    def has(self, key: str) -> bool:
        """Whether a call with the key runs here, or its result is in this process; nothing is awaited."""
        return bool(key) and (key in self._running or self._store.has_bytes(_name_of(key)))

    @contextlib.asynccontextmanager
    async def claim(self, request: pb.GenerateRequest) -> AsyncIterator[Claim]:
        """Waits for a running call with the same key, then replays its result or lets the caller work.

        If the running call fails or is cancelled, one of the waiting calls does the work. A request without a key
        does not wait, and its result is not kept.

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
            record = _Record(self._store, self._ttl_s, key, digest)
            yield Claim(await record.read(), record)
        finally:
            del self._running[key]
            done.set()


class _Record:
    """One key's result in the store: an entry for each picture, then the summary with the request's digest."""

    def __init__(self, store: ByteStore, ttl_s: int, key: str, digest: bytes) -> None:
        self._store, self._ttl_s, self._digest = store, ttl_s, digest
        self._name = _name_of(key)

    async def write(self, message: pb.GenerateResponse) -> None:
        data = message.SerializeToString()
        if message.HasField("picture"):
            await self._store.set_bytes(self._picture(message.picture.rank), data, self._ttl_s)
        elif message.HasField("summary"):
            # The summary comes last, so a result with a summary is complete.
            await self._store.set_bytes(self._name, self._digest + data, self._ttl_s)

    async def read(self) -> list[pb.GenerateResponse] | None:
        """The stored messages; None if there are none or a picture is missing."""
        stored = await self._store.get_bytes(self._name)
        if stored is None or len(stored) < _DIGEST_BYTES:
            return None
        _check(stored[:_DIGEST_BYTES], self._digest)
        last = pb.GenerateResponse.FromString(stored[_DIGEST_BYTES:])
        last.summary.replayed = True
        messages = []
        for rank in range(last.summary.pictures):
            data = await self._store.get_bytes(self._picture(rank))
            if data is None:
                return None
            messages.append(pb.GenerateResponse.FromString(data))
        return [*messages, last]

    def _picture(self, rank: int) -> str:
        # With the digest in the name, pictures of a failed call are never returned with another request's summary.
        return f"{self._name}:{self._digest.hex()[:16]}:{rank}"


def _name_of(key: str) -> str:
    return "result:" + hashlib.sha256(key.encode()).hexdigest()


def request_digest(request: pb.GenerateRequest) -> bytes:
    """SHA-256 of everything in the request except its key."""
    bare = pb.GenerateRequest()
    bare.CopyFrom(request)
    bare.ClearField("idempotency_key")
    return hashlib.sha256(bare.SerializeToString(deterministic=True)).digest()


def _check(theirs: bytes, ours: bytes) -> None:
    if theirs != ours:
        message = "idempotency_key was used with another request; take a new key for a new request."
        raise error(Reason.IDEMPOTENCY_KEY_REUSED, message, field="idempotency_key")

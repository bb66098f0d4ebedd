"""Idempotency keys: one call of a tenant with a key does the work, on whichever orchestrator; others get its result."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable
from typing import Protocol

from backdrop.errors import BackdropError, Reason, error
from backdrop.v1 import generation_service_pb2 as pb
from orchestrator.cache.keys import owner_of
from orchestrator.cache.leases import Lease, Leases

_DIGEST_BYTES = 32


class ByteStore(Protocol):
    """The part of `ResultStore` that keeps whole results."""

    async def get(self, name: str) -> bytes | None: ...
    def has(self, name: str) -> bool: ...
    def put(self, name: str, data: bytes, ttl_s: int, owner: str = "") -> asyncio.Task[None] | None: ...


class Claim:
    """What a call may do with its key: `replay` the messages of an earlier call, or work and `keep` its own."""

    def __init__(self, replay: list[pb.GenerateResponse] | None = None, record: _Record | None = None) -> None:
        self.replay = replay
        self._record = record

    def keep(self, message: pb.GenerateResponse) -> None:
        """Stores a picture, or the summary, which completes the result. Other events are not kept."""
        if self._record is not None:
            self._record.write(message)


def _nothing() -> None:
    pass


class Idempotency:
    """Results by tenant and key in the shared store, and the keys of the calls that run, here and elsewhere.

    Args:
        store: keeps the results.
        leases: the keys of running calls of all orchestrators.
        ttl_s: how long results are kept.
    """

    def __init__(self, store: ByteStore, leases: Leases, ttl_s: int) -> None:
        self._store, self._leases, self._ttl_s = store, leases, ttl_s
        self._running: dict[str, tuple[bytes, asyncio.Event]] = {}

    def has(self, tenant: str, key: str) -> bool:
        """Whether a call with the key runs here, or its result is in this process; nothing is awaited."""
        name = _name_of(tenant, key)
        return bool(key) and (name in self._running or self._store.has(name))

    @contextlib.asynccontextmanager
    async def claim(
        self, request: pb.GenerateRequest, tenant: str, waits: Callable[[], None] = _nothing
    ) -> AsyncIterator[Claim]:
        """Waits for a running call with the same key, then replays its result or lets the caller work.

        If the running call fails or is cancelled, one of the waiting calls does the work; if its orchestrator dies, one
        does so once the lease has expired. While Redis does not answer, calls on different orchestrators may both work.
        A request without a key does not wait, and its result is not kept.

        Args:
            request: with its key.
            tenant: whose key it is; another tenant's is another key.
            waits: is called before another call is waited for.

        Raises:
            ConflictError: the key belongs to another request.
        """
        if not request.idempotency_key:
            yield Claim()
            return
        name, digest = _name_of(tenant, request.idempotency_key), request_digest(request)
        while running := self._running.get(name):
            _check(running[0], digest)
            waits()
            await running[1].wait()
        done = asyncio.Event()
        self._running[name] = (digest, done)
        record = _Record(self._store, self._ttl_s, name, digest, owner_of(tenant))
        try:
            async with self._held(name, digest, waits, record):
                yield Claim(await record.read(), record)
        finally:
            del self._running[name]
            done.set()

    @contextlib.asynccontextmanager
    async def _held(self, name: str, digest: bytes, waits: Callable[[], None], record: _Record) -> AsyncIterator[None]:
        """Holds the lease of a key until its result is written."""

        def wait(holder: str) -> None:
            if holder != digest.hex():
                raise _conflict()
            waits()

        lease: Lease = await self._leases.hold(name, digest.hex(), wait)
        try:
            yield
        finally:
            lease.release(after=record.written)


class _Record:
    """One key's result in the store: an entry for each picture, then the summary with the request's digest."""

    def __init__(self, store: ByteStore, ttl_s: int, name: str, digest: bytes, owner: str) -> None:
        self._store, self._ttl_s, self._digest, self._owner = store, ttl_s, digest, owner
        self._name = name
        self.written: asyncio.Task[None] | None = None
        """The last write that another orchestrator must wait for; None if there is none."""

    def write(self, message: pb.GenerateResponse) -> None:
        data = message.SerializeToString()
        if message.HasField("picture"):
            self._put(self._picture(message.picture.rank), data)
        elif message.HasField("summary"):
            # The summary comes last, so a result with a summary is complete.
            self._put(self._name, self._digest + data)

    def _put(self, name: str, data: bytes) -> None:
        earlier, write = self.written, self._store.put(name, data, self._ttl_s, self._owner)
        if earlier is not None and write is not None:
            self.written = asyncio.create_task(_both(earlier, write))
        else:
            self.written = write or earlier

    async def read(self) -> list[pb.GenerateResponse] | None:
        """The stored messages; None if there are none or a picture is missing."""
        stored = await self._store.get(self._name)
        if stored is None or len(stored) < _DIGEST_BYTES:
            return None
        _check(stored[:_DIGEST_BYTES], self._digest)
        last = pb.GenerateResponse.FromString(stored[_DIGEST_BYTES:])
        last.summary.replayed = True
        messages = []
        for rank in range(last.summary.pictures):
            data = await self._store.get(self._picture(rank))
            if data is None:
                return None
            messages.append(pb.GenerateResponse.FromString(data))
        return [*messages, last]

    def _picture(self, rank: int) -> str:
        # With the digest in the name, pictures of a failed call are never returned with another request's summary.
        return f"{self._name}:{self._digest.hex()[:16]}:{rank}"


async def _both(one: asyncio.Task[None], other: asyncio.Task[None]) -> None:
    await asyncio.wait({one, other})


def _name_of(tenant: str, key: str) -> str:
    return f"result:{owner_of(tenant)}:{hashlib.sha256(key.encode()).hexdigest()}"


def request_digest(request: pb.GenerateRequest) -> bytes:
    """SHA-256 of everything in the request except its key."""
    bare = pb.GenerateRequest()
    bare.CopyFrom(request)
    bare.ClearField("idempotency_key")
    return hashlib.sha256(bare.SerializeToString(deterministic=True)).digest()


def _check(theirs: bytes, ours: bytes) -> None:
    if theirs != ours:
        raise _conflict()


def _conflict() -> BackdropError:
    message = "idempotency_key was used with another request; take a new key for a new request."
    return error(Reason.IDEMPOTENCY_KEY_REUSED, message, field="idempotency_key")

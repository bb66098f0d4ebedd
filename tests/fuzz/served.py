"""Whole calls: through the real service over plain models, through the fake, and through a server elsewhere."""

from __future__ import annotations

import asyncio
import json
import os
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np
from google.rpc import status_pb2

from backdrop.v1 import generation_service_pb2 as pb
from tests.fuzz import mutators
from tests.fuzz.targets import Target, UndocumentedError, expect_clean
from tests.messages import generate_request
from tests.pictures import ellipse_mask, encoded, noisy_photo

METHOD = "/backdrop.v1.GenerationService/Generate"
Code = grpc.StatusCode
DOCUMENTED = {
    Code.OK, Code.INVALID_ARGUMENT, Code.NOT_FOUND, Code.ALREADY_EXISTS, Code.DEADLINE_EXCEEDED,
    Code.RESOURCE_EXHAUSTED, Code.CANCELLED, Code.UNIMPLEMENTED,
}  # fmt: skip
"""Without UNAVAILABLE: a server that is not there answers every input with it, and shows nothing."""
_PATIENCE_S = 60.0
_LIMITS: dict[str, Any] = {"max_steps": 4, "max_variants": 2, "max_pixels": 20_000}


class Caller:
    """Makes calls from an event loop of its own; `endpoint` is host:port, `server` is what listens there."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, endpoint: str, timeout_s: float | None = None, server: object = None
    ) -> None:
        self._server = server  # it ends with its last reference
        self._loop, self._endpoint, self._timeout_s = loop, endpoint, timeout_s
        self._rpc: Any = None

    def __call__(self, data: bytes, metadata: Sequence[tuple[str, str]] = ()) -> None:
        """Raises unless the call ends, soon, with a status that is documented and a text of ours."""
        self._loop.run_until_complete(asyncio.wait_for(self._call(data, metadata), _PATIENCE_S))

    async def _call(self, data: bytes, metadata: Sequence[tuple[str, str]]) -> None:
        if self._rpc is None:
            options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
            self._rpc = grpc.aio.insecure_channel(self._endpoint, options).unary_stream(METHOD, None, None)
        call = self._rpc(data, metadata=tuple(metadata), timeout=self._timeout_s)
        try:
            async for answer in call:
                pb.GenerateResponse.FromString(answer)
        except grpc.aio.AioRpcError as problem:
            self._judge(problem)

    def _judge(self, problem: grpc.aio.AioRpcError) -> None:
        code, text = problem.code(), problem.details() or ""
        if code not in DOCUMENTED:
            raise UndocumentedError(f"{code}: {text}") from None
        expect_clean(text)
        trailing: Any = problem.trailing_metadata() or ()
        for key, value in trailing:
            if key == "grpc-status-details-bin":
                expect_clean(str(status_pb2.Status.FromString(bytes(value))))


def requests() -> Target:
    """Messages, through the real service over models that are plain functions."""
    call = _real()
    return Target(lambda data: call(data), seeds(), _message, 32_768)


def headers() -> Target:
    """The metadata of a call: JSON of a list of pairs."""
    call, message = _real(), seeds()[0]

    def run(data: bytes) -> None:
        try:
            pairs = [(str(key).lower(), str(value)) for key, value in json.loads(data)]
        except (ValueError, TypeError, RecursionError):
            return
        allowed = [
            (key, value)
            for key, value in pairs
            if key.isascii() and key.replace("-", "a").isalnum() and not key.startswith(("grpc-", "content"))
            and not key.endswith("-bin") and value.isascii() and value.isprintable() and key not in ("te", "host")
        ]  # fmt: skip
        if sum(len(key) + len(value) for key, value in allowed) < 8000:
            call(message, allowed)

    from backdrop.contract.metadata import IDEMPOTENCY_KEY, LONGEST_KEY, PRIORITY_KEY, RETRY_KEY

    trace = ("traceparent", f"00-{'ab' * 16}-{'cd' * 8}-01")
    pairs = [(PRIORITY_KEY, "2"), (IDEMPOTENCY_KEY, "k"), (LONGEST_KEY, "4000000"), (RETRY_KEY, "1"), trace]
    pairs += [("tracestate", "a=b"), ("authorization", "Bearer x")]
    return Target(run, [json.dumps(pairs).encode()], mutators.document, 8192)


def fake() -> Target:
    """Messages, through the fake that users test with."""
    from backdrop.testing import FakeBackdrop

    running = FakeBackdrop()
    running.__enter__()  # until the process ends
    call = Caller(asyncio.new_event_loop(), running.endpoint, timeout_s=5.0, server=running)
    return Target(lambda data: call(data), seeds(), _message, 32_768)


def cluster() -> Target:
    """Messages, through the server at BACKDROP_FUZZ_ENDPOINT, with a deadline, since its models take their time."""
    call = Caller(asyncio.new_event_loop(), os.environ["BACKDROP_FUZZ_ENDPOINT"], timeout_s=10.0)
    return Target(lambda data: call(data), seeds(), _message, 32_768)


def _real() -> Caller:
    from tests.orchestrator.api.test_service import Running

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)

    async def start() -> Running:
        running = Running(Path(tempfile.mkdtemp()), **_LIMITS)
        await running.server.start()
        await running.open()
        return running

    running = loop.run_until_complete(start())
    return Caller(loop, f"127.0.0.1:{running.server.port}", server=running)


def _message(data: bytes, most: int, rng: random.Random, mutate: mutators.Bytes) -> bytes:
    return mutators.message(pb.GenerateRequest, data, most, rng, mutate)


def seeds() -> list[bytes]:
    """A request of each task, and one with every option."""
    photo, mask = encoded(noisy_photo(32, 32)), encoded(ellipse_mask(32, 32))
    alpha = encoded(np.dstack([noisy_photo(32, 32), ellipse_mask(32, 32)]))
    common: dict[str, Any] = {"prompt": "a beach", "steps": 1, "seed": 1}
    holder = {"fill": "image", "erase": "image", "expand": "image", "vary": "image", "upscale": "image"}
    messages = [
        generate_request(product=photo, mask=mask, **common),
        generate_request(
            product=alpha, negative_prompt="x", variants=2, top_k=1, guidance_scale=3.0, format=2, **common
        ),
        generate_request("text_to_image", pipeline="small-text", palette=["#abc", "#123456"], **common),
        generate_request(
            product=photo, pipeline="small-style", style_images=[{"image": photo, "weight": 0.5}], **common
        ),
        *(generate_request(task, **_of(task, photo, mask), **common) for task in holder),
    ]
    messages[0].background.layouts.add().size.width = 64
    return [message.SerializeToString() for message in messages]


def _of(task: str, photo: bytes, mask: bytes) -> dict[str, Any]:
    """The pictures that a task's message takes."""
    kind = pb.GenerateRequest.DESCRIPTOR.fields_by_name[task].message_type
    assert kind is not None
    return {
        name: {"mask": mask}.get(name, photo)
        for name, field in kind.fields_by_name.items()
        if field.type == field.TYPE_BYTES and not field.is_repeated
    }

"""A server over plain models whose logs, spans, metrics, audit records and answers are all kept, to be searched."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from backdrop.v1 import generation_service_pb2 as pb
from orchestrator.api.doors import Doors
from orchestrator.api.idempotency import Idempotency
from orchestrator.api.info import describe_server, describer
from orchestrator.api.parse import Parser
from orchestrator.api.server import Server
from orchestrator.api.service import Service
from orchestrator.cache import TwoTierCache
from orchestrator.cache.leases import Leases
from orchestrator.identity.authenticator import Authenticator
from orchestrator.pipeline import Pipeline
from orchestrator.scheduling import Batcher
from orchestrator.scheduling.admission import Admission, Limits
from orchestrator.stages.frames import PixelMemory
from orchestrator.telemetry import Tracing, logs
from orchestrator.telemetry.audit_log import AuditLog
from orchestrator.telemetry.metrics import Metrics
from orchestrator.triton import PoolOptions, TritonPool
from tests.captured_logs import captured_logs
from tests.field.resp import Answers, answering, usual
from tests.leaks.planted import FOREIGN, KEY, SECRETS, mask, product
from tests.messages import generate_request
from tests.orchestrator.small import FunctionModels, capacity, server_settings, tokenizers
from tests.orchestrator.triton.fake_triton import FakeTriton

METHOD = "/backdrop.v1.GenerationService/Generate"
INFO_METHOD = "/backdrop.v1.InfoService/GetInfo"
_OPTIONS = PoolOptions(step_timeout_s=5.0, probe_interval_s=0.05, probe_timeout_s=3.0, patience_s=0.5)


class EchoingTriton(FakeTriton):
    """Fails every inference with a text that quotes what it was sent."""

    async def _answer(self, request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        tensors = zip(request.inputs, request.raw_input_contents, strict=True)
        kinds = {"INT64": np.int64}
        values = [np.frombuffer(raw, kinds.get(each.datatype, np.float32))[:4000].tolist() for each, raw in tensors]
        await context.abort(grpc.StatusCode.INTERNAL, f"{FOREIGN} in {request.id}: cannot run on {values}")


class Site:
    """The running server. `to_triton`: models that are called at Triton; the others are functions."""

    def __init__(self, folder: Path, redis: Answers, triton: FakeTriton, log: io.StringIO) -> None:
        self.redis, self.triton = redis, triton
        self.log = log
        self.spans = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self.spans))
        self.audit_file = folder / "audit.jsonl"
        self.records = AuditLog.to(str(self.audit_file), "")
        self.settings = server_settings(folder / "repository", max_request_bytes=1 << 20)
        self.repository, self.prompts = tokenizers(folder / "repository")
        self.models, self.admission, self.metrics = FunctionModels(), Admission(Limits(2, 0)), Metrics()
        self.to_triton: tuple[str, ...] = ()
        self.pool = TritonPool([triton.address], _OPTIONS, observer=self.metrics)
        self.cache = TwoTierCache(
            redis.url.replace("//", f"//:{SECRETS['redis password']}@"), memory_bytes=16 << 20, observer=self.metrics
        )
        doors = Doors(Authenticator(keys_file(folder), None))
        self.service = Service(self.metrics, Tracing(provider), self.records, doors)
        self.server = Server(self.settings, self.service, doors)
        self.seen: list[bytes] = []
        """What callers were told: statuses, details, metadata."""
        self.pictures: list[bytes] = []
        self._keys = 0

    def open(self) -> None:
        """Accepts requests from now on."""
        batcher = Batcher(self._infer, lambda model: capacity(4, 16))
        pipeline = Pipeline(
            *(batcher, self.cache, self.prompts, self.admission, PixelMemory(16.0)), max_buffered_events=1000
        )
        described = describe_server(self.settings, self.repository)
        parser = Parser(described, self.repository, self.prompts)
        idempotency = Idempotency(self.cache.results, Leases(self.cache.redis), 60)
        self.service.open(parser, pipeline, idempotency, describer(described, lambda: 3))

    async def _infer(self, model: str, inputs: Mapping[str, Any], **options: Any) -> dict[str, Any]:
        if model in self.to_triton:
            return await self.pool.infer(model, inputs, request_id=options["request_id"])
        return await self.models(model, inputs, **options)

    def new_key(self) -> str:
        """An idempotency key of its own, with the secret in it."""
        self._keys += 1
        return f"{SECRETS['idempotency key']}-{self._keys}"

    async def call(
        self,
        message: pb.GenerateRequest | bytes | None,
        *,
        timeout_s: float = 30.0,
        more: Sequence[tuple[str, str]] = (),
        method: str = METHOD,
        token: str = KEY,
        leave_at: str = "",
    ) -> grpc.StatusCode:
        """Makes a call with every secret that metadata can hold; None sends no message; keeps what comes back.

        `leave_at` is the event at which the caller cancels.
        """
        metadata = [("authorization", f"Bearer {token}"), ("cookie", SECRETS["bearer token"]), *more]
        data = message.SerializeToString() if isinstance(message, pb.GenerateRequest) else message
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self.server.port}") as channel:
            # A message goes as the SDK sends it. Where a refusal cuts short a stream's write, gRPC for Python calls
            # that INTERNAL now and then, whatever the server said.
            one: Any = channel.unary_stream(method, None, None)
            none: Any = channel.stream_stream(method, None, None)
            options = {"timeout": timeout_s, "metadata": metadata}
            call = none(**options) if data is None else one(data, **options)
            with contextlib.suppress(grpc.aio.AioRpcError, asyncio.CancelledError):
                if data is None:
                    await call.done_writing()
                async for answer in call:
                    event = pb.GenerateResponse.FromString(answer) if method == METHOD else pb.GenerateResponse()
                    if event.WhichOneof("event") == "picture":
                        self.pictures.append(event.picture.data)
                    if leave_at and event.WhichOneof("event") == leave_at:
                        call.cancel()
            self.seen += [str(await call.details()).encode(), repr(await call.initial_metadata()).encode()]
            self.seen += [
                value.encode() if isinstance(value, str) else value for _, value in await call.trailing_metadata()
            ]
            code: grpc.StatusCode = await call.code()
            return code

    def sinks(self) -> dict[str, bytes]:
        """Everything that has left the server so far, by where it went."""
        spans = [span.to_json() for span in self.spans.get_finished_spans()]
        return {
            "logs": self.log.getvalue().encode(),
            "spans": "\n".join(spans).encode(),
            "metrics": generate_latest(self.metrics.registry),
            "metrics with exemplars": generate_openmetrics(self.metrics.registry),  # type: ignore[no-untyped-call]
            "audit": self.audit_file.read_bytes(),
            "errors": b"\n".join(self.seen),
        }


@contextlib.asynccontextmanager
async def running(folder: Path, log_format: str) -> AsyncIterator[Site]:
    """Starts a site, with a Redis that takes the password and a Triton that quotes its inputs."""
    triton = EchoingTriton()
    await triton.start()
    async with answering(usual) as redis:
        (folder / "repository").mkdir()
        with captured_logs("debug", log_format) as log:
            asyncio.get_running_loop().set_exception_handler(logs.loop_fault)
            site = Site(folder, redis, triton, log)
            await site.server.start()
            await site.pool.start()
            try:
                yield site
            finally:
                await site.server.stop(site.admission, 1.0)
                await site.pool.close()
                await site.cache.close()
                await triton.kill()
                await asyncio.to_thread(site.records.close)
                asyncio.get_running_loop().set_exception_handler(None)


def keys_file(folder: Path) -> Path:
    """A file with the hash of the key that callers send."""
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    key = {"name": "shop", "sha256": digest, "tenant": "shop", "scopes": ["generate", "info"]}
    file = folder / "keys.json"
    file.write_text(json.dumps({"keys": [key]}))
    return file


def valid(site: Site, **changes: Any) -> pb.GenerateRequest:
    """A request that holds every secret that a message can hold, and works unless `changes` break it."""
    fields: dict[str, Any] = {
        "product": product(), "mask": mask(), "steps": 2, "seed": 1, "guidance_scale": 3.0,
        "prompt": f"a beach {SECRETS['prompt']}", "negative_prompt": f"rain {SECRETS['negative prompt']}",
        "idempotency_key": site.new_key(), **changes,
    }  # fmt: skip
    return generate_request(**fields)

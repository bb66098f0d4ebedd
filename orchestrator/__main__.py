"""The composition root: reads the environment, has the objects put together, runs until a signal says stop."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog
import uvloop
from pydantic import ValidationError

from orchestrator import allocator, repository
from orchestrator.addresses import split_address
from orchestrator.api.audit import LATER_S
from orchestrator.api.idempotency import Idempotency
from orchestrator.api.info import describe_server, describer
from orchestrator.api.parse import Parser
from orchestrator.api.server import CannotListenError, wait_for_models
from orchestrator.assembly import Parts, assemble
from orchestrator.cache import UnservedRedisError
from orchestrator.cache.leases import Leases
from orchestrator.concurrency import cancelled, stop_event
from orchestrator.decoding import CannotDecodeError, Decoder, decoders
from orchestrator.gauges import watch, watch_models
from orchestrator.identity.files import IdentityError
from orchestrator.pipeline import Pipeline
from orchestrator.repository import Repository, RepositoryError
from orchestrator.repository.tokenize import PromptTokenizers
from orchestrator.settings import Settings, faults, unknown
from orchestrator.telemetry import logs
from orchestrator.telemetry.audit_log import CannotAuditError
from orchestrator.telemetry.metrics import Metrics

log = structlog.get_logger("orchestrator")
T = TypeVar("T")


def main() -> int:
    """Runs the orchestrator; the exit status is 0 after a clean stop, 1 when it could not become ready."""
    try:
        settings = Settings()  # type: ignore[call-arg]  # required fields come from the environment
    except ValidationError as problem:
        sys.stderr.writelines(f"{sentence}\n" for sentence in faults(problem))
        return 1
    allocator.tune()
    logs.configure(settings.log_level, settings.log_format)
    for sentence in unknown(os.environ):
        log.warning("unknown setting", why=sentence)
    try:
        uvloop.run(serve(settings))
    except (RepositoryError, UnservedRedisError, CannotAuditError, IdentityError, CannotDecodeError) as problem:
        log.error("cannot serve", why=str(problem))
        return 1
    except CannotListenError as problem:
        log.error("cannot listen", why=str(problem))
        return 1
    return 0


async def serve(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT, then drains.

    Raises:
        RepositoryError: the model repository or what Triton serves is not what it should be.
        UnservedRedisError: Redis is a member of a cluster or a Sentinel.
        CannotAuditError: the file of the audit records cannot be opened.
        IdentityError: a file that identities depend on cannot be used.
        CannotDecodeError: a process that decodes pictures cannot be started.
    """
    asyncio.get_running_loop().set_exception_handler(logs.loop_fault)
    parts = await assemble(settings)
    watch(parts)
    stop = stop_event()
    async with contextlib.AsyncExitStack() as stack:
        decoder = await _start(parts, stack)
        if (models := await _until_stopped(stop, _load_models(parts))) is not None:
            _open(parts, decoder, *models)
            await parts.server.ready()
            served = models[0]
            log.info(
                "ready", port=parts.server.port, pipelines=sorted(served.pipelines), default=served.default,
                repository=str(served.path), signature=served.signature or "not checked",
            )  # fmt: skip
            await stop.wait()
        log.info("stopping")
    await parts.cache.close()


async def _start(parts: Parts, stack: contextlib.AsyncExitStack) -> Decoder:
    """Starts everything that does not need the models, and has the stack stop it in the opposite order."""
    settings, metrics = parts.settings, parts.metrics
    stack.push_async_callback(asyncio.to_thread, parts.tracing.close)
    stack.push_async_callback(asyncio.to_thread, parts.records.close)
    stack.push_async_callback(asyncio.sleep, LATER_S)  # refusals are recorded by then
    stack.push_async_callback(parts.quotas.close)
    decoder = await stack.enter_async_context(decoders(settings.decoders, metrics.watch))
    stack.push_async_callback(parts.pool.close)  # whatever happens: it holds shared memory
    await parts.server.start()
    stack.push_async_callback(parts.server.stop, parts.admission, settings.drain_timeout_s)
    if settings.metrics_listen:
        _serve_metrics(metrics, settings.metrics_listen)
    trimming = allocator.trim_when_idle(lambda: parts.memory.budget.used)
    stack.push_async_callback(cancelled, asyncio.create_task(trimming))
    if parts.authenticator is not None:
        stack.push_async_callback(cancelled, asyncio.create_task(parts.authenticator.keep_fresh()))
    await parts.pool.start()
    log.info("listening", port=parts.server.port)
    await parts.cache.expect_served()
    await asyncio.to_thread(decoder.wait_ready)
    return decoder


def _open(parts: Parts, decoder: Decoder, served: Repository, tokenizers: PromptTokenizers) -> None:
    """Has the service take requests."""
    settings, cache = parts.settings, parts.cache
    described = describe_server(settings, served)
    parts.service.open(
        Parser(described, served, tokenizers, decoder),
        Pipeline(
            *(parts.batcher, cache, tokenizers, parts.admission, parts.memory),
            max_buffered_events=settings.max_buffered_events,
        ),
        Idempotency(cache.results, Leases(cache.redis), settings.idempotency_ttl_s),
        describer(described, lambda: parts.pool.ready_replicas),
        parts.quotas,
    )
    allocator.settle()


def _repository_keys(settings: Settings) -> repository.PublicKeys | None:
    """Who may sign the repository; None if nobody needs to. Raises RepositoryError."""
    if settings.repository_keys_file is None:
        log.warning("no repository keys", why="unsigned models are served; see docs/security.md, Signed models")
        return None
    return repository.PublicKeys.read(settings.repository_keys_file)


def _serve_metrics(metrics: Metrics, address: str) -> None:
    """Serves /metrics; raises CannotListenError."""
    host, port = split_address(address)
    try:
        metrics.serve(host, port)
    except OSError as problem:
        raise CannotListenError(f"BACKDROP_METRICS_LISTEN is {address}: {problem}") from None


async def _load_models(parts: Parts) -> tuple[Repository, PromptTokenizers]:
    """Waits for the repository, tells of it, and waits for a Triton that serves it; for ever if none may be there.

    The server listens meanwhile: to read a repository without a mark takes minutes, and a volume may be filled late.

    Raises:
        RepositoryError: one of the two is not what it should be, or not there in time.
    """
    settings, pool = parts.settings, parts.pool
    keys = _repository_keys(settings)
    served = await repository.load_published(settings.repository, settings.startup_timeout_s, keys)
    served = served.with_default(settings.default_pipeline)
    tokenizers = await asyncio.to_thread(PromptTokenizers, served)
    watch_models(parts, served)
    parts.service.introduce(describer(describe_server(settings, served), lambda: pool.ready_replicas))
    if parts.cold.is_cold:  # callers have to reach the server, so that it can say when to come back
        await parts.server.ready()
    await wait_for_models(pool, served, math.inf if settings.cold_start_s else settings.startup_timeout_s)
    return served, tokenizers


async def _until_stopped(stop: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """The result of `work`, or None if `stop` comes first."""
    task = asyncio.create_task(work)
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([task, stopping], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not task.done():
        task.cancel()
        return None
    return await task


if __name__ == "__main__":
    sys.exit(main())

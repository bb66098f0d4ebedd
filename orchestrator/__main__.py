"""The composition root: reads the environment, puts the objects together, runs until a signal says stop."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit, urlunsplit

import structlog
import uvloop
from pydantic import ValidationError

from orchestrator import allocator, repository
from orchestrator.addresses import split_address
from orchestrator.api.audit import LATER_S
from orchestrator.api.cold_start import ColdStart
from orchestrator.api.doors import Doors
from orchestrator.api.idempotency import Idempotency
from orchestrator.api.info import describe_server, describer
from orchestrator.api.parse import Parser
from orchestrator.api.server import CannotListenError, Server, wait_for_models
from orchestrator.api.service import Service
from orchestrator.cache import TwoTierCache, UnservedRedisError
from orchestrator.cache.leases import Leases
from orchestrator.concurrency import cancelled, stop_event
from orchestrator.decoding import CannotDecodeError, decoders
from orchestrator.identity.authenticator import Authenticator
from orchestrator.identity.files import IdentityError
from orchestrator.pipeline import Pipeline
from orchestrator.quotas import Quotas
from orchestrator.repository import Repository, RepositoryError
from orchestrator.repository.tokenize import PromptTokenizers
from orchestrator.scheduling import Batcher, Capacity
from orchestrator.scheduling.admission import Admission, Limits
from orchestrator.settings import Settings, faults, unknown
from orchestrator.stages.frames import PixelMemory
from orchestrator.telemetry import Tracing, logs
from orchestrator.telemetry.audit_log import AuditLog, CannotAuditError
from orchestrator.telemetry.metrics import Metrics
from orchestrator.triton import PoolOptions, TritonPool, open_wire
from orchestrator.triton.endpoints import split_endpoints

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
    metrics = Metrics()
    pool = _pool(settings, metrics)
    cache = TwoTierCache(
        redis_url(settings) or None,
        memory_bytes=settings.cache_memory_bytes,
        ttl_s=settings.cache_ttl_s,
        result_bytes=settings.result_bytes,
        observer=metrics,
    )
    admission = Admission(
        Limits(settings.max_running, settings.max_queued, settings.max_queued_work, settings.max_held_bytes)
    )
    memory = PixelMemory(settings.work_megapixels)
    batcher = Batcher(
        pool.infer,
        lambda model: Capacity(pool.usable_replicas(model), min(settings.max_batch_rows, pool.max_batch_rows(model))),
        lambda: admission.waiting > 0,
        metrics.on_turn,
    )
    records = AuditLog.to(settings.audit_log, settings.otlp_endpoint)
    _watch(metrics, admission, batcher, pool, records)
    metrics.watch("backdrop_worked_megapixels", "Pictures worked on now", lambda: memory.budget.held)
    if settings.redis_url:
        metrics.watch("backdrop_redis_available", "1 while Redis is used, else 0", lambda: cache.redis_available)
    tracing = Tracing.to(settings.otlp_endpoint, settings.trace_sample_ratio)
    quotas = _quotas(settings, cache, metrics)
    authenticator = await _authenticator(settings)
    doors = Doors(authenticator, certificates=settings.tls_client_ca_file is not None)
    cold = ColdStart(settings.cold_start_s, lambda: pool.named_replicas, metrics.cold_refusal)
    service = Service(metrics, tracing, records, doors, cold)
    server = Server(settings, service, doors)
    metrics.watch("backdrop_serving", "1 while the server is ready and does not drain, else 0", lambda: server.serving)
    metrics.watch("backdrop_idle_seconds", "Since the last call that needed a replica", lambda: cold.idle_s)
    expected = "1 if a replica should serve now, else 0: before a call, and while one starts"
    metrics.watch("backdrop_replicas_expected", expected, lambda: cold.expects_replica)
    stop = stop_event()

    async def introduce(served: Repository) -> None:
        _watch_models(metrics, served, batcher, pool)
        service.introduce(describer(describe_server(settings, served), lambda: pool.ready_replicas))
        if cold.is_cold:  # callers have to reach the server, so that it can say when to come back
            await server.ready()

    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(asyncio.to_thread, tracing.close)
        stack.push_async_callback(asyncio.to_thread, records.close)
        stack.push_async_callback(asyncio.sleep, LATER_S)  # refusals are recorded by then
        stack.push_async_callback(quotas.close)
        decoder = await stack.enter_async_context(decoders(settings.decoders, metrics.watch))
        stack.push_async_callback(pool.close)  # whatever happens: it holds shared memory
        await server.start()
        stack.push_async_callback(server.stop, admission, settings.drain_timeout_s)
        if settings.metrics_listen:
            _serve_metrics(metrics, settings.metrics_listen)
        stack.push_async_callback(cancelled, asyncio.create_task(allocator.trim_when_idle(lambda: memory.budget.used)))
        if authenticator is not None:
            stack.push_async_callback(cancelled, asyncio.create_task(authenticator.keep_fresh()))
        await pool.start()
        log.info("listening", port=server.port)
        await cache.expect_served()
        await asyncio.to_thread(decoder.wait_ready)
        if (models := await _until_stopped(stop, _load_models(settings, pool, introduce))) is not None:
            served, tokenizers = models
            described = describe_server(settings, served)
            service.open(
                Parser(described, served, tokenizers, decoder),
                Pipeline(
                    *(batcher, cache, tokenizers, admission, memory), max_buffered_events=settings.max_buffered_events
                ),
                Idempotency(cache.results, Leases(cache.redis), settings.idempotency_ttl_s),
                describer(described, lambda: pool.ready_replicas),
                quotas,
            )
            allocator.settle()
            await server.ready()
            log.info(
                "ready", port=server.port, pipelines=sorted(served.pipelines), default=served.default,
                repository=str(served.path), signature=served.signature or "not checked",
            )  # fmt: skip
            await stop.wait()
        log.info("stopping")
    await cache.close()


async def _authenticator(settings: Settings) -> Authenticator | None:
    """What knows the callers; None if nobody needs an identity. Raises IdentityError."""
    if not settings.identifies:
        log.warning("no identities", why="everybody who reaches the server may do everything; see docs/security.md")
        return None
    authenticator = Authenticator(settings.token_keys_file, settings.access_file)
    await authenticator.open()
    return authenticator


def _repository_keys(settings: Settings) -> repository.PublicKeys | None:
    """Who may sign the repository; None if nobody needs to. Raises RepositoryError."""
    if settings.repository_keys_file is None:
        log.warning("no repository keys", why="unsigned models are served; see docs/security.md, Signed models")
        return None
    return repository.PublicKeys.read(settings.repository_keys_file)


def _quotas(settings: Settings, cache: TwoTierCache, metrics: Metrics) -> Quotas:
    stored, share = cache.results.index_key, settings.quota_local_share
    return Quotas(settings.quotas, cache.redis, stored, local_share=share, on_refused=metrics.quota_spent)


def _pool(settings: Settings, metrics: Metrics) -> TritonPool:
    endpoints = split_endpoints(settings.triton_endpoints)
    return TritonPool(
        endpoints,
        PoolOptions(step_timeout_s=settings.step_timeout_s),
        observer=metrics,
        wire=open_wire(settings.shared_memory, endpoints, settings.shared_memory_bytes, settings.shared_memory_prefix),
        sharing=settings.shared_memory,
    )


def _serve_metrics(metrics: Metrics, address: str) -> None:
    """Serves /metrics; raises CannotListenError."""
    host, port = split_address(address)
    try:
        metrics.serve(host, port)
    except OSError as problem:
        raise CannotListenError(f"BACKDROP_METRICS_LISTEN is {address}: {problem}") from None


def _watch(metrics: Metrics, admission: Admission, batcher: Batcher, pool: TritonPool, records: AuditLog) -> None:
    """Exports the gauges that are read when they are scraped."""
    loop = asyncio.get_running_loop()
    metrics.watch("backdrop_event_loop_tasks", "Tasks of the event loop now", lambda: len(asyncio.all_tasks(loop)))
    metrics.watch("backdrop_audit_records_lost", "Audit records that were not written", lambda: records.lost)
    metrics.watch("backdrop_held_bytes", "Request messages held now", lambda: admission.held_bytes)
    metrics.watch("backdrop_running_requests", "Requests that run now", lambda: admission.running)
    metrics.watch("backdrop_queued_requests", "Requests that wait now", lambda: admission.waiting)
    metrics.watch("backdrop_queued_work", "Row-steps × megapixels that wait now", lambda: admission.queued_work)
    metrics.watch("backdrop_ready_replicas", "Triton replicas that answer now", lambda: pool.ready_replicas)
    oldest = "Age of the oldest request that waits now, by class"
    metrics.watch("backdrop_oldest_wait_seconds", oldest, lambda: admission.oldest_wait_s, "priority")


def _watch_models(metrics: Metrics, served: Repository, batcher: Batcher, pool: TritonPool) -> None:
    """Exports one value for each model, before its first call: to an autoscaler, a missing series is no zero."""
    models = sorted({name for pipeline in served.pipelines.values() for name in pipeline.fingerprints})

    def each(rows: Mapping[str, int]) -> dict[str, float]:
        return {model: rows.get(model, 0) for model in models}

    def replicas() -> dict[str, float]:
        return {model: len(pool.usable_replicas(model)) for model in models}

    waiting = "Rows that wait for their turn now"
    metrics.watch("backdrop_rows_out", "Rows at a model now", lambda: each(batcher.running_rows), "model")
    metrics.watch("backdrop_rows_waiting", waiting, lambda: each(batcher.waiting_rows), "model")
    metrics.watch("backdrop_model_replicas", "Replicas that serve a model now", replicas, "model")


def redis_url(settings: Settings) -> str:
    """The Redis URL with the password from its file, so that neither the environment nor a manifest holds it.

    Raises:
        RepositoryError: the file cannot be read.
    """
    if settings.redis_password_file is None or not settings.redis_url:
        return settings.redis_url
    try:
        password = settings.redis_password_file.read_text().strip()
    except (OSError, ValueError) as problem:
        raise RepositoryError(f"BACKDROP_REDIS_PASSWORD_FILE: {problem}") from None
    parts = urlsplit(settings.redis_url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username or ''}:{quote(password, safe='')}@{host}"))


async def _load_models(
    settings: Settings, pool: TritonPool, introduce: Callable[[Repository], Awaitable[None]]
) -> tuple[Repository, PromptTokenizers]:
    """Waits for the repository, passes it on, and waits for a Triton that serves it; for ever if none may be there.

    The server listens meanwhile: to read a repository without a mark takes minutes, and a volume may be filled late.

    Raises:
        RepositoryError: one of the two is not what it should be, or not there in time.
    """
    keys = _repository_keys(settings)
    served = await repository.load_published(settings.repository, settings.startup_timeout_s, keys)
    served = served.with_default(settings.default_pipeline)
    tokenizers = await asyncio.to_thread(PromptTokenizers, served)
    await introduce(served)
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

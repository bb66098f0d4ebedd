"""The composition root: reads the environment, puts the objects together, runs until a signal says stop."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Coroutine
from urllib.parse import quote, urlsplit, urlunsplit

import structlog
from pydantic import ValidationError

from orchestrator import repository
from orchestrator.api.idempotency import Idempotency
from orchestrator.api.info import describe_server, describer
from orchestrator.api.parse import Parser
from orchestrator.api.server import Server, wait_for_models
from orchestrator.api.service import Service
from orchestrator.cache import TwoTierCache
from orchestrator.concurrency import stop_event
from orchestrator.pipeline import Pipeline
from orchestrator.repository import RepositoryError
from orchestrator.repository.tokenize import PromptTokenizers
from orchestrator.scheduling import Batcher, Capacity
from orchestrator.scheduling.admission import Admission, Limits
from orchestrator.settings import Settings
from orchestrator.telemetry import Tracing, logs
from orchestrator.telemetry.metrics import Metrics
from orchestrator.triton import PoolOptions, TritonPool, open_wire

log = structlog.get_logger("orchestrator")


def main() -> int:
    """Runs the orchestrator; the exit status is 0 after a clean stop, 1 when it could not become ready."""
    try:
        settings = Settings()  # type: ignore[call-arg]  # required fields come from the environment
    except ValidationError as problem:
        for fault in problem.errors():
            name = "BACKDROP_" + "_".join(str(part) for part in fault["loc"]).upper()
            sys.stderr.write(f"{name}: {fault['msg']}\n")
        return 1
    logs.configure(settings.log_level, settings.log_format)
    try:
        asyncio.run(serve(settings))
    except RepositoryError as problem:
        log.error("cannot serve", why=str(problem))
        return 1
    except RuntimeError as problem:  # grpc's word for a port that is taken
        log.error("cannot listen", listen=settings.listen, why=str(problem))
        return 1
    return 0


async def serve(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT, then drains.

    Raises:
        RepositoryError: the model repository or what Triton serves is not what it should be.
    """
    metrics = Metrics()
    served = (await asyncio.to_thread(repository.load, settings.repository)).with_default(settings.default_pipeline)
    tokenizers = PromptTokenizers(served)
    pool = _pool(settings, metrics)
    cache = TwoTierCache(
        redis_url(settings) or None,
        memory_bytes=settings.cache_memory_bytes,
        ttl_s=settings.cache_ttl_s,
        observer=metrics,
    )
    admission = Admission(Limits(settings.max_running, settings.max_queued, settings.max_queued_work))
    batcher = Batcher(
        pool.infer,
        lambda model: Capacity(pool.usable_replicas(model), min(settings.max_batch_rows, pool.max_batch_rows(model))),
        lambda: admission.waiting > 0,
        metrics.on_turn,
    )
    pipeline = Pipeline(batcher, cache, tokenizers, admission, max_buffered_events=settings.max_buffered_events)
    _watch(metrics, admission, batcher, pool)
    tracing = Tracing.to(settings.otlp_endpoint, settings.trace_sample_ratio)
    service = Service(metrics, tracing)
    server = Server(settings, service)
    stop = stop_event()
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(asyncio.to_thread, tracing.close)
        stack.push_async_callback(pool.close)  # whatever happens: it holds shared memory
        await server.start()
        stack.push_async_callback(server.stop, admission, settings.drain_timeout_s)
        if settings.metrics_listen:
            host, _, port = settings.metrics_listen.rpartition(":")
            metrics.serve(host, int(port))
        await pool.start()
        log.info("listening", port=server.port)
        if not await _until_stopped(stop, wait_for_models(pool, served, settings.startup_timeout_s)):
            described = describe_server(settings, served)
            service.open(
                Parser(described, served, tokenizers),
                pipeline,
                Idempotency(cache, settings.idempotency_ttl_s),
                describer(described, lambda: pool.ready_replicas),
            )
            await server.ready()
            log.info(
                "ready", port=server.port, pipelines=sorted(served.pipelines), default=served.default,
                repository=str(served.path),
            )  # fmt: skip
            await stop.wait()
        log.info("stopping")
    await cache.close()


def _pool(settings: Settings, metrics: Metrics) -> TritonPool:
    endpoints = [endpoint.strip() for endpoint in settings.triton_endpoints.split(",") if endpoint.strip()]
    return TritonPool(
        endpoints,
        PoolOptions(step_timeout_s=settings.step_timeout_s),
        observer=metrics,
        wire=open_wire(settings.shared_memory, endpoints, settings.shared_memory_bytes, settings.shared_memory_prefix),
        sharing=settings.shared_memory,
    )


def _watch(metrics: Metrics, admission: Admission, batcher: Batcher, pool: TritonPool) -> None:
    """Exports the gauges that are read when they are scraped."""
    metrics.watch("backdrop_running_requests", "Requests that run now", lambda: admission.running)
    metrics.watch("backdrop_queued_requests", "Requests that wait now", lambda: admission.waiting)
    metrics.watch("backdrop_queued_work", "Row-steps × megapixels that wait now", lambda: admission.queued_work)
    metrics.watch("backdrop_rows_out", "Rows at Triton now", lambda: batcher.running_rows)
    metrics.watch("backdrop_rows_waiting", "Rows that wait for their turn now", lambda: batcher.waiting_rows)
    metrics.watch("backdrop_ready_replicas", "Triton replicas that answer now", lambda: pool.ready_replicas)


def redis_url(settings: Settings) -> str:
    """The Redis URL with the password from its file, so that neither the environment nor a manifest holds it.

    Raises:
        RepositoryError: the file cannot be read.
    """
    if settings.redis_password_file is None or not settings.redis_url:
        return settings.redis_url
    try:
        password = settings.redis_password_file.read_text().strip()
    except OSError as problem:
        raise RepositoryError(f"BACKDROP_REDIS_PASSWORD_FILE: {problem}") from None
    parts = urlsplit(settings.redis_url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username or ''}:{quote(password, safe='')}@{host}"))


async def _until_stopped(stop: asyncio.Event, work: Coroutine[object, object, None]) -> bool:
    """Awaits `work` unless `stop` comes first; says whether it did."""
    task = asyncio.create_task(work)
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([task, stopping], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not task.done():
        task.cancel()
        return True
    await task
    return False


if __name__ == "__main__":
    sys.exit(main())

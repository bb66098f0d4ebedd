"""The gauges that are read when they are scraped."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from orchestrator.assembly import Parts
from orchestrator.repository import Repository


def watch(parts: Parts) -> None:
    """Exports what the objects hold now; called on the event loop."""
    loop, admission, pool, cold = asyncio.get_running_loop(), parts.admission, parts.pool, parts.cold
    export = parts.metrics.watch
    export("backdrop_event_loop_tasks", "Tasks of the event loop now", lambda: len(asyncio.all_tasks(loop)))
    export("backdrop_audit_records_lost", "Audit records that were not written", lambda: parts.records.lost)
    export("backdrop_held_bytes", "Request messages held now", lambda: admission.held_bytes)
    export("backdrop_running_requests", "Requests that run now", lambda: admission.running)
    export("backdrop_queued_requests", "Requests that wait now", lambda: admission.waiting)
    export("backdrop_queued_work", "Row-steps × megapixels that wait now", lambda: admission.queued_work)
    export("backdrop_ready_replicas", "Triton replicas that answer now", lambda: pool.ready_replicas)
    oldest = "Age of the oldest request that waits now, by class"
    export("backdrop_oldest_wait_seconds", oldest, lambda: admission.oldest_wait_s, "priority")
    export("backdrop_worked_megapixels", "Pictures worked on now", lambda: parts.memory.budget.held)
    if parts.settings.redis_url:
        export("backdrop_redis_available", "1 while Redis is used, else 0", lambda: parts.cache.redis_available)
    serving = "1 while the server is ready and does not drain, else 0"
    export("backdrop_serving", serving, lambda: parts.server.serving)
    export("backdrop_idle_seconds", "Since the last call that needed a replica", lambda: cold.idle_s)
    expected = "1 if a replica should serve now, else 0: before a call, and while one starts"
    export("backdrop_replicas_expected", expected, lambda: cold.expects_replica)


def watch_models(parts: Parts, served: Repository) -> None:
    """Exports one value for each model, before its first call: to an autoscaler, a missing series is no zero."""
    export, batcher, pool = parts.metrics.watch, parts.batcher, parts.pool
    models = sorted({name for pipeline in served.pipelines.values() for name in pipeline.fingerprints})

    def each(rows: Mapping[str, int]) -> dict[str, float]:
        return {model: rows.get(model, 0) for model in models}

    def replicas() -> dict[str, float]:
        return {model: len(pool.usable_replicas(model)) for model in models}

    waiting = "Rows that wait for their turn now"
    export("backdrop_rows_out", "Rows at a model now", lambda: each(batcher.running_rows), "model")
    export("backdrop_rows_waiting", waiting, lambda: each(batcher.waiting_rows), "model")
    export("backdrop_model_replicas", "Replicas that serve a model now", replicas, "model")

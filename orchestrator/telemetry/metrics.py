"""Prometheus metrics: all series of the orchestrator, on a registry of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server

from backdrop.contract.parts import Priority
from orchestrator.telemetry import exemplar
from orchestrator.telemetry.gauges import Gauges, Reading

# A series for each tenant is kept for ever, so further tenants are counted as one.
_MAX_TENANTS, _OTHER_TENANTS = 200, "(others)"
_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120)


@dataclasses.dataclass(frozen=True)
class RequestCounts:
    """What one finished request adds to the counters of its pipeline."""

    pipeline: str
    tenant: str
    row_steps: int
    saved_row_steps: int
    work: float
    """Row-steps × megapixels."""
    pictures: int
    style_pictures: int


class Metrics:
    """Counts events. Also the observer of the Triton pool (`on_call`), batcher (`on_turn`) and cache (`on_lookup`).

    Durations carry their trace as an exemplar, which OpenMetrics scrapers read.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._gauges = Gauges()
        self.registry.register(self._gauges)

        def histogram(name: str, text: str, *labels: str) -> Histogram:
            return Histogram(name, text, labels, buckets=_SECONDS, registry=self.registry)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, registry=self.registry)

        self._requests = counter("backdrop_requests_total", "Generate calls by gRPC status", "status")
        self._request_seconds = histogram("backdrop_request_seconds", "Duration of Generate calls", "status")
        self._queue_seconds = histogram("backdrop_queue_seconds", "Time from arrival to admission")
        self._stage_seconds = histogram("backdrop_stage_seconds", "Duration of stages, finished requests", "stage")
        self._row_steps = counter("backdrop_row_steps_total", "Denoiser row-steps, finished requests", "pipeline")
        self._work = counter(
            "backdrop_row_step_megapixels_total", "Row-steps × megapixels of the scene, finished requests", "pipeline"
        )
        self._pictures = counter("backdrop_pictures_total", "Pictures delivered", "pipeline")
        self._style_pictures = counter("backdrop_style_pictures_total", "Style pictures, finished requests", "pipeline")
        self._calls = histogram("backdrop_model_call_seconds", "Model calls, network included", "model", "outcome")
        self._turn_seconds = histogram("backdrop_turn_seconds", "Time that model calls wait for their turn", "priority")
        self._saved = counter("backdrop_saved_row_steps_total", "Row-steps that options saved", "pipeline")
        self._rows = counter("backdrop_model_rows_total", "Rows sent to models", "model", "replica")
        self._quotas = counter("backdrop_quota_refusals_total", "Requests refused since a quota is spent", "quota")
        self._failures = counter("backdrop_replica_failures_total", "Model calls that failed", "replica", "outcome")
        self._tenants: set[str] = set()
        self._tenant_requests = counter("backdrop_tenant_requests_total", "Calls of each tenant", "tenant", "status")
        self._tenant_work = counter(
            "backdrop_tenant_row_step_megapixels_total", "Row-steps × megapixels of each tenant", "tenant"
        )
        self._cold = counter("backdrop_cold_refusals_total", "Calls refused while the first replica starts")
        self._lookups = counter("backdrop_cache_lookups_total", "Cache look-ups and failures", "outcome")

    def watch(self, name: str, text: str, read: Callable[[], Reading], label: str = "") -> None:
        """Exports a gauge that is read at each scrape; with a label, one value for each key of a mapping."""
        self._gauges.watch(name, text, read, label)

    def serve(self, host: str, port: int) -> None:
        """Serves /metrics from a thread of its own."""
        start_http_server(port, host, self.registry)

    def request(self, status: str, seconds: float, tenant: str) -> None:
        """Counts a Generate call that ended."""
        self._requests.labels(status).inc()
        self._tenant_requests.labels(self._counted_as(tenant), status).inc()
        self._request_seconds.labels(status).observe(seconds, exemplar())

    def queued(self, seconds: float) -> None:
        """Counts a request that was admitted."""
        self._queue_seconds.observe(seconds, exemplar())

    def finished(self, counts: RequestCounts, stage_seconds: Mapping[str, float]) -> None:
        """Counts a request whose pictures are ready."""
        for stage, seconds in stage_seconds.items():
            self._stage_seconds.labels(stage).observe(seconds, exemplar())
        self._row_steps.labels(counts.pipeline).inc(counts.row_steps)
        self._work.labels(counts.pipeline).inc(counts.work)
        self._tenant_work.labels(self._counted_as(counts.tenant)).inc(counts.work)
        self._saved.labels(counts.pipeline).inc(counts.saved_row_steps)
        self._pictures.labels(counts.pipeline).inc(counts.pictures)
        self._style_pictures.labels(counts.pipeline).inc(counts.style_pictures)

    def _counted_as(self, tenant: str) -> str:
        """The label of a tenant: its name, or that of all others."""
        if len(self._tenants) < _MAX_TENANTS:
            self._tenants.add(tenant)
        return tenant if tenant in self._tenants else _OTHER_TENANTS

    def on_call(self, model: str, replica: str, rows: int, seconds: float, outcome: str) -> None:
        """Counts a model call that ended."""
        self._calls.labels(model, outcome).observe(seconds, exemplar())
        self._rows.labels(model, replica).inc(rows)
        if outcome not in ("ok", "cancelled"):
            self._failures.labels(replica, outcome).inc()

    def on_gone(self, replica: str) -> None:
        """Drops the series of a replica that has left: its address is never used again, and each rollout has others."""
        for counted in (self._rows, self._failures):
            counted.remove_by_labels({"replica": replica})

    def on_turn(self, priority: Priority, seconds: float) -> None:
        """Counts a model call that left in a batch."""
        self._turn_seconds.labels(priority.name.lower()).observe(seconds)

    def quota_spent(self, name: str) -> None:
        """Counts a request that a quota of its tenant refused."""
        self._quotas.labels(name).inc()

    def cold_refusal(self) -> None:
        """Counts a call that came while there was no replica, within the time that a start takes."""
        self._cold.inc()

    def on_lookup(self, outcome: str) -> None:
        """Counts a look-up or a failure of the cache."""
        self._lookups.labels(outcome).inc()

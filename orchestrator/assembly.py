"""The objects of an orchestrator, put together as its settings say; nothing runs yet."""

from __future__ import annotations

import dataclasses
from urllib.parse import quote, urlsplit, urlunsplit

import structlog

from orchestrator.api.cold_start import ColdStart
from orchestrator.api.doors import Doors
from orchestrator.api.server import Server
from orchestrator.api.service import Service
from orchestrator.cache import TwoTierCache
from orchestrator.identity.authenticator import Authenticator
from orchestrator.quotas import Quotas
from orchestrator.repository import RepositoryError
from orchestrator.scheduling import Batcher, Capacity
from orchestrator.scheduling.admission import Admission, Limits
from orchestrator.settings import Settings
from orchestrator.stages.frames import PixelMemory
from orchestrator.telemetry import Tracing
from orchestrator.telemetry.audit_log import AuditLog
from orchestrator.telemetry.metrics import Metrics
from orchestrator.triton import PoolOptions, TritonPool, open_wire
from orchestrator.triton.endpoints import split_endpoints

log = structlog.get_logger("orchestrator")


@dataclasses.dataclass(frozen=True, eq=False)
class Parts:
    """What exists as long as the process does; what the models are needed for comes later."""

    settings: Settings
    metrics: Metrics
    pool: TritonPool
    cache: TwoTierCache
    admission: Admission
    memory: PixelMemory
    batcher: Batcher
    records: AuditLog
    tracing: Tracing
    quotas: Quotas
    authenticator: Authenticator | None
    cold: ColdStart
    service: Service
    server: Server


async def assemble(settings: Settings) -> Parts:
    """The objects of an orchestrator.

    Raises:
        RepositoryError: the file of Redis' password cannot be read.
        CannotAuditError: the file of the audit records cannot be opened.
        CannotListenError: an address is taken, or not one of this machine.
        IdentityError: a file that identities depend on cannot be used.
    """
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
    batcher = Batcher(
        pool.infer,
        lambda model: Capacity(pool.usable_replicas(model), min(settings.max_batch_rows, pool.max_batch_rows(model))),
        lambda: admission.waiting > 0,
        metrics.on_turn,
    )
    records = AuditLog.to(settings.audit_log, settings.otlp_endpoint)
    tracing = Tracing.to(settings.otlp_endpoint, settings.trace_sample_ratio)
    quotas = _quotas(settings, cache, metrics)
    authenticator = await _authenticator(settings)
    doors = Doors(authenticator, certificates=settings.tls_client_ca_file is not None)
    cold = ColdStart(settings.cold_start_s, lambda: pool.named_replicas, metrics.cold_refusal)
    service = Service(metrics, tracing, records, doors, cold)
    server = Server(settings, service, doors)
    memory = PixelMemory(settings.work_megapixels)
    return Parts(
        *(settings, metrics, pool, cache, admission, memory, batcher, records, tracing, quotas, authenticator),
        *(cold, service, server),
    )


def _pool(settings: Settings, metrics: Metrics) -> TritonPool:
    endpoints = split_endpoints(settings.triton_endpoints)
    return TritonPool(
        endpoints,
        PoolOptions(step_timeout_s=settings.step_timeout_s),
        observer=metrics,
        wire=open_wire(settings.shared_memory, endpoints, settings.shared_memory_bytes, settings.shared_memory_prefix),
        sharing=settings.shared_memory,
    )


def _quotas(settings: Settings, cache: TwoTierCache, metrics: Metrics) -> Quotas:
    stored, share = cache.results.index_key, settings.quota_local_share
    return Quotas(settings.quotas, cache.redis, stored, local_share=share, on_refused=metrics.quota_spent)


async def _authenticator(settings: Settings) -> Authenticator | None:
    """What knows the callers; None if nobody needs an identity. Raises IdentityError."""
    if not settings.identifies:
        log.warning("no identities", why="everybody who reaches the server may do everything; see docs/security.md")
        return None
    authenticator = Authenticator(settings.token_keys_file, settings.access_file)
    await authenticator.open()
    return authenticator


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

"""What can be set from outside: one frozen group of values, read from the environment by the composition root."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from orchestrator.triton.shared_memory import Sharing


class Settings(BaseSettings):
    """Read from variables named `BACKDROP_` and the field's name in capitals; units are in the names."""

    model_config = SettingsConfigDict(env_prefix="BACKDROP_", frozen=True, extra="ignore")

    listen: str = Field("127.0.0.1:50061", description="host:port of the gRPC service; port 0 picks a free one")
    metrics_listen: str = Field("", description="host:port of the Prometheus endpoint; empty = none")
    triton_endpoints: str = Field(
        description="comma-separated host:port, dns:///host:port or kubernetes:///service.namespace:port of Triton"
    )
    redis_url: str = Field("", description="redis://… of the shared cache; empty = memory only")
    redis_password_file: Path | None = Field(None, description="file with the password for redis_url; none = no change")
    repository: Path = Field(description="the triton_repo folder that Triton serves, with pipeline.json")
    default_pipeline: str = Field("", description="pipeline for requests that name none; empty = pipeline.json's own")

    max_running: int = Field(16, ge=1, description="requests that run at the same time")
    max_queued: int = Field(64, ge=0, description="requests that may wait; the next one is refused")
    max_queued_work: float = Field(
        100_000.0, gt=0, description="row-steps × megapixels that may wait; one request alone may exceed it"
    )
    max_batch_rows: int = Field(
        256, ge=1, description="most rows of a batch of several requests; the model's max_batch_size applies too"
    )
    max_variants: int = Field(16, ge=1, le=256, description="most variants a request may ask for")
    max_steps: int = Field(100, ge=1, le=1000, description="most denoising steps a request may ask for")
    max_pixels: int = Field(16_000_000, ge=4096, description="largest photo or output picture, width × height")
    max_request_bytes: int = Field(40 << 20, ge=1 << 20, description="largest request message")
    max_buffered_events: int = Field(1024, ge=16, description="events kept for a slow reader; one more ends its call")

    step_timeout_s: float = Field(30.0, gt=0, description="longest time of one model call")
    shared_memory: Sharing = Field(
        Sharing.AUTO, description="memory shared with Triton for repeated inputs: off, auto (loopback addresses), on"
    )
    shared_memory_bytes: int = Field(64 << 20, ge=1 << 20, description="size of it; inputs that do not fit are sent")
    shared_memory_prefix: str = Field(
        "backdrop_", pattern="^backdrop_[A-Za-z0-9_]*$", description="prefix of its name in /dev/shm"
    )
    startup_timeout_s: float = Field(300.0, gt=0, description="how long to wait for Triton to load its models")
    drain_timeout_s: float = Field(60.0, ge=0, description="how long requests may run after SIGTERM")

    cache_memory_bytes: int = Field(256 << 20, ge=0, description="bound of the in-process cache tier")
    cache_ttl_s: int = Field(86_400, ge=1, description="how long cached arrays stay in Redis")
    idempotency_ttl_s: int = Field(3_600, ge=1, description="how long a result is kept for its idempotency key")

    log_level: str = Field("info", pattern="^(debug|info|warning|error)$", description="least severity logged")
    log_format: str = Field("json", pattern="^(json|console)$", description="one JSON object a line, or coloured text")
    otlp_endpoint: str = Field(
        "", pattern="^(https?://.*)?$", description="http://host:4318 of an OpenTelemetry collector; empty = no traces"
    )
    trace_sample_ratio: float = Field(
        1.0, ge=0, le=1, description="share of recorded traces, of those that begin here; callers decide for their own"
    )
    reflection: bool = Field(True, description="serve gRPC reflection")

"""What can be set from outside: one frozen group of values, read from the environment by the composition root."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from backdrop.contract.loopback import is_loopback
from orchestrator.addresses import check_listen, split_address
from orchestrator.cache.address import check_url
from orchestrator.quotas.limits import Limits, LimitTable, read_table
from orchestrator.triton.endpoints import check_endpoints, split_endpoints
from orchestrator.triton.shared_memory import Sharing

PREFIX = "BACKDROP_"
# Variables of the same prefix that other programs of this repository read.
_OTHERS = (
    *("BACKDROP_ENDPOINT", "BACKDROP_TLS", "BACKDROP_CA_FILE", "BACKDROP_CERT_FILE", "BACKDROP_KEY_FILE"),
    *("BACKDROP_TOKEN", "BACKDROP_TOKEN_FILE", "BACKDROP_ALLOW_PLAINTEXT"),
)


class Settings(BaseSettings):
    """Read from variables named `BACKDROP_` and the field's name in capitals; units are in the names."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", allow_inf_nan=False)

    listen: str = Field("127.0.0.1:50061", description="host:port or unix:/path of the gRPC service; port 0 = a free")
    health_listen: str = Field(
        "", description="host:port of the health service alone, in plain text, for probes without TLS; empty = none"
    )
    tls_cert_file: Path | None = Field(None, description="PEM certificate of the server, with its chain; none = no TLS")
    tls_key_file: Path | None = Field(None, description="PEM private key of tls_cert_file")
    tls_client_ca_file: Path | None = Field(
        None, description="PEM authorities of client certificates, which every client then needs"
    )
    token_keys_file: Path | None = Field(None, description="JSON file of hashed keys that are taken as bearer tokens")
    access_file: Path | None = Field(None, description="TOML file of token issuers, and of rules for identities")
    allow_anonymous: bool = Field(
        False, description="serve without identities on addresses other than loopback; no effect with identities"
    )
    allow_plaintext_tokens: bool = Field(
        False, description="take tokens without TLS on addresses other than loopback: a proxy or a mesh encrypts"
    )
    metrics_listen: str = Field("", description="host:port of the Prometheus endpoint; empty = none")
    triton_endpoints: str = Field(
        description="comma-separated host:port, dns:///host:port or kubernetes:///service.namespace:port of Triton"
    )
    redis_url: str = Field("", description="redis://… of the shared cache; empty = memory only")
    redis_password_file: Path | None = Field(None, description="file with the password for redis_url; none = no change")
    repository: Path = Field(description="the triton_repo folder that Triton serves, with pipeline.json")
    repository_keys_file: Path | None = Field(
        None, description="public keys of minisign, one of which must have signed the repository; none = unsigned too"
    )
    default_pipeline: str = Field("", description="pipeline for requests that name none; empty = pipeline.json's own")

    max_running: int = Field(16, ge=1, description="requests that run at the same time")
    max_queued: int = Field(64, ge=0, description="requests that may wait; the next one is refused")
    max_queued_work: float = Field(
        100_000.0, gt=0, description="row-steps × megapixels that may wait; one request alone may exceed it"
    )
    max_held_bytes: int = Field(
        256 << 20, ge=1 << 20, description="request messages that may be held; the next one is refused, unless alone"
    )
    work_megapixels: float = Field(
        32.0, gt=0, description="pictures decoded or finished at the same time; a larger one is worked on alone"
    )
    decoders: int = Field(
        2, ge=0, le=64, description="processes that decode pictures; 0 = the server decodes them itself"
    )
    max_batch_rows: int = Field(
        256, ge=1, description="most rows of a batch of several requests; the model's max_batch_size applies too"
    )
    max_variants: int = Field(16, ge=1, le=256, description="most variants a request may ask for")
    max_steps: int = Field(100, ge=1, le=1000, description="most denoising steps a request may ask for")
    max_pixels: int = Field(16_000_000, ge=4096, description="largest photo or output picture, width × height")
    max_request_bytes: int = Field(40 << 20, ge=1 << 20, description="largest request message")
    max_buffered_events: int = Field(1024, ge=16, description="events kept for a slow reader; one more ends its call")

    quota_concurrent_requests: int = Field(0, ge=0, description="requests of a tenant that run or wait; 0 = unlimited")
    quota_row_step_megapixels_per_minute: float = Field(
        0.0, ge=0, description="work of a tenant, which refills continuously; 0 = unlimited"
    )
    quota_stored_bytes: int = Field(
        0, ge=0, description="results of a tenant that Redis keeps for idempotency keys; 0 = unlimited"
    )
    tenant_quotas: str = Field(
        "", description='other quotas for tenants by name, as JSON: {"acme": {"concurrent_requests": 8}}'
    )
    quota_local_share: float = Field(
        0.5, gt=0, le=1, description="part of each quota that one orchestrator grants while Redis does not answer"
    )

    step_timeout_s: float = Field(30.0, gt=0, description="longest time of one model call")
    shared_memory: Sharing = Field(
        Sharing.AUTO, description="memory shared with Triton for repeated inputs: off, auto (loopback addresses), on"
    )
    shared_memory_bytes: int = Field(64 << 20, ge=1 << 20, description="size of it; inputs that do not fit are sent")
    shared_memory_prefix: str = Field(
        "backdrop_", pattern="^backdrop_[A-Za-z0-9_]*$", description="prefix of its name in /dev/shm"
    )
    connection_age_s: float = Field(
        300.0, ge=0, description="age at which clients are asked to connect again, so new servers get work; 0 = never"
    )
    startup_timeout_s: float = Field(300.0, gt=0, description="how long to wait for Triton to load its models")
    cold_start_s: float = Field(
        0.0,
        ge=0,
        description="how long the first Triton takes to serve where it is scaled to zero; calls are refused meanwhile; "
        "0 = there is always one",
    )
    drain_timeout_s: float = Field(60.0, ge=0, description="how long requests may run after SIGTERM")

    cache_memory_bytes: int = Field(
        256 << 20, ge=0, description="bound of the in-process cache tier; results take at most a quarter of it"
    )
    cache_ttl_s: int = Field(86_400, ge=1, description="how long cached arrays stay in Redis")
    idempotency_ttl_s: int = Field(3_600, ge=1, description="how long a result is kept for its idempotency key")
    result_bytes: int = Field(
        256 << 20, ge=0, description="bound of all results in Redis; the oldest of the tenant with the most is dropped"
    )

    log_level: str = Field("info", pattern="^(debug|info|warning|error)$", description="least severity logged")
    log_format: str = Field("json", pattern="^(json|console)$", description="one JSON object a line, or coloured text")
    audit_log: str = Field("", description="file or stdout for audit records, one JSON object a line; empty = neither")
    otlp_endpoint: str = Field(
        "",
        pattern="^(https?://.*)?$",
        description="http://host:4318 of an OpenTelemetry collector for traces and audit records; empty = none",
    )
    trace_sample_ratio: float = Field(
        1.0, ge=0, le=1, description="share of recorded traces, of those that begin here; callers decide for their own"
    )
    reflection: bool | None = Field(
        None, description="serve gRPC reflection, to the scope admin; default: in development alone"
    )

    @field_validator("listen")
    @classmethod
    def _listens(cls, value: str) -> str:
        return check_listen(value)

    @field_validator("metrics_listen", "health_listen")
    @classmethod
    def _is_address(cls, value: str) -> str:
        if value:
            split_address(value)
        return value

    @field_validator("triton_endpoints")
    @classmethod
    def _has_endpoints(cls, value: str) -> str:
        check_endpoints(split_endpoints(value))
        return value

    @field_validator("tenant_quotas")
    @classmethod
    def _is_table(cls, value: str) -> str:
        read_table(value, Limits())
        return value

    @field_validator("redis_url")
    @classmethod
    def _is_redis(cls, value: str) -> str:
        return check_url(value) if value else value

    @model_validator(mode="after")
    def _is_closed(self) -> Self:
        if fault := _open_door(self):
            raise ValueError(fault)
        return self

    @property
    def identifies(self) -> bool:
        """Whether callers need an identity. Without it and on loopback, the server is in development."""
        return any((self.tls_client_ca_file, self.token_keys_file, self.access_file))

    @property
    def serves_reflection(self) -> bool:
        """Whether reflection is served."""
        return self.reflection if self.reflection is not None else is_loopback(self.listen) and not self.identifies

    @property
    def quotas(self) -> LimitTable:
        """The quotas of every tenant."""
        default = Limits(
            self.quota_concurrent_requests, self.quota_row_step_megapixels_per_minute, self.quota_stored_bytes
        )
        return read_table(self.tenant_quotas, default)


def _open_door(settings: Settings) -> str:
    """What is wrong with the settings of identity, in one sentence; "" if nothing is."""
    tls, public = settings.tls_cert_file is not None, not is_loopback(settings.listen)
    if (settings.tls_key_file is not None) != tls:
        return "BACKDROP_TLS_CERT_FILE and BACKDROP_TLS_KEY_FILE belong together; set both or none"
    if settings.tls_client_ca_file and not (tls and settings.access_file):
        return "BACKDROP_TLS_CLIENT_CA_FILE needs BACKDROP_TLS_CERT_FILE, and rules in BACKDROP_ACCESS_FILE"
    if public and not settings.identifies and not settings.allow_anonymous:
        return (
            f"BACKDROP_LISTEN is {settings.listen}, which others can reach, and no identities are configured; set "
            "BACKDROP_TOKEN_KEYS_FILE or BACKDROP_ACCESS_FILE, or BACKDROP_ALLOW_ANONYMOUS=true if a network policy "
            "decides who may call"
        )
    if public and settings.identifies and not tls and not settings.allow_plaintext_tokens:
        return (
            f"BACKDROP_LISTEN is {settings.listen}, and tokens would travel in plain text; set BACKDROP_TLS_CERT_FILE "
            "and BACKDROP_TLS_KEY_FILE, or BACKDROP_ALLOW_PLAINTEXT_TOKENS=true if a proxy or a mesh encrypts"
        )
    return ""


def faults(problem: ValidationError) -> list[str]:
    """One sentence for each wrong setting: its variable, and what it must be."""
    sentences = []
    for fault in problem.errors():
        name = PREFIX + "_".join(str(part) for part in fault["loc"]).upper()
        text = fault["msg"].removeprefix("Value error, ")
        if not fault["loc"]:  # of several settings, which the text names
            sentences.append(text)
            continue
        # An address may hold a password.
        quotes = _names_type(fault["type"]) and "://" not in str(fault["input"])
        sentences.append(f"{name}: {text}, not {fault['input']!r}" if quotes else f"{name}: {text}")
    return sentences


def _names_type(kind: str) -> bool:
    return kind not in ("missing", "value_error")


def unknown(names: Iterable[str]) -> list[str]:
    """One sentence for each variable of our prefix that is no setting, with the setting that may be meant."""
    settings = {PREFIX + name.upper() for name in Settings.model_fields}
    sentences = []
    for name in sorted(names):
        if name.upper().startswith(PREFIX) and name.upper() not in settings and name not in _OTHERS:
            near = difflib.get_close_matches(name, settings, 1, cutoff=0.85)
            sentences.append(f"{name} is no setting" + (f"; is {near[0]} meant?" if near else ""))
    return sentences

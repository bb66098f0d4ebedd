"""The server's life: listen at once, become ready when the models are checked, drain and stop on a signal."""

from __future__ import annotations

import asyncio

import grpc
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from grpc_reflection.v1alpha.reflection_pb2_grpc import add_ServerReflectionServicer_to_server

from backdrop.errors import BackdropError
from orchestrator.api.doors import Doors, Reflection
from orchestrator.api.service import GENERATION, INFO, Service
from orchestrator.api.tls import TlsFiles, server_credentials
from orchestrator.repository import Repository, RepositoryError, check_served
from orchestrator.scheduling.admission import Admission
from orchestrator.settings import Settings
from orchestrator.triton import TritonPool

log = structlog.get_logger("orchestrator.api.server")
LIVE = "live"
"""Health under this name is SERVING while the process runs: an answer shows that the event loop is alive."""
_CHECK_INTERVAL_S = 0.25
# Pings detect dead connections, whose requests must not keep their places. Clients may ping every 5 s.
_OPTIONS_KEEPALIVE = [("grpc.keepalive_time_ms", 20_000), ("grpc.keepalive_timeout_ms", 10_000),
                      ("grpc.http2.ping_timeout_ms", 10_000),
                      ("grpc.http2.min_ping_interval_without_data_ms", 5_000)]  # fmt: skip
# A small window: clients send no more than this of a message before the handler reads it, so pictures of refused calls
# stay with them. What the handler reads has a window of its own size, so bandwidth need not be probed.
_OPTIONS_WINDOW = [("grpc.http2.lookahead_bytes", 4096), ("grpc.http2.bdp_probe", 0)]


class CannotListenError(Exception):
    """An address is taken, or not one of this machine."""


def _age_options(age_s: float) -> list[tuple[str, int]]:
    """A connection that has reached the age takes no new calls; those that run have an hour to finish."""
    if not age_s:
        return []
    return [("grpc.max_connection_age_ms", int(1000 * age_s)), ("grpc.max_connection_age_grace_ms", 3_600_000)]


class Server:
    """The listening gRPC server with health and reflection.

    Raises:
        CannotListenError: the address is taken, or not one of this machine.
        IdentityError: the files for TLS cannot be used.
    """

    def __init__(self, settings: Settings, service: Service, doors: Doors | None = None) -> None:
        doors = doors or Doors()
        self.serving = False
        """Whether health says SERVING."""
        self._health = health.aio.HealthServicer()  # type: ignore[attr-defined]  # the stubs lack it
        self._server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", settings.max_request_bytes),
                ("grpc.max_send_message_length", -1),
                ("grpc.so_reuseport", 0),  # a second server on the port must fail, not share it
                *_OPTIONS_KEEPALIVE,
                *_OPTIONS_WINDOW,
                *_age_options(settings.connection_age_s),
            ]
        )
        self._server.add_generic_rpc_handlers(service.handlers())
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        if settings.serves_reflection:
            names = (GENERATION, INFO, health.SERVICE_NAME, reflection.SERVICE_NAME)
            add_ServerReflectionServicer_to_server(Reflection(names, doors), self._server)
        self._server.add_generic_rpc_handlers([doors.unknown()])
        try:
            self.port = self._listen(settings)
        except RuntimeError as problem:
            raise CannotListenError(f"BACKDROP_LISTEN is {settings.listen}: {problem}") from None
        self._probed = self._probe_server(settings.health_listen) if settings.health_listen else None

    def _listen(self, settings: Settings) -> int:
        if settings.tls_cert_file is None or settings.tls_key_file is None:
            return self._server.add_insecure_port(settings.listen)
        files = TlsFiles(settings.tls_cert_file, settings.tls_key_file, settings.tls_client_ca_file)
        return self._server.add_secure_port(settings.listen, server_credentials(files))

    def _probe_server(self, address: str) -> grpc.aio.Server:
        """Health alone, in plain text: a kubelet's probes speak no TLS."""
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        try:
            self.health_port = server.add_insecure_port(address)
        except RuntimeError as problem:
            raise CannotListenError(f"BACKDROP_HEALTH_LISTEN is {address}: {problem}") from None
        return server

    async def start(self) -> None:
        """Listens; until `ready` is called, health is NOT_SERVING for every name except `LIVE`."""
        await self._health.set(LIVE, health_pb2.HealthCheckResponse.SERVING)
        await self._set(health_pb2.HealthCheckResponse.NOT_SERVING)
        await self._server.start()
        if self._probed is not None:
            await self._probed.start()

    async def ready(self) -> None:
        """Sets health to SERVING."""
        await self._set(health_pb2.HealthCheckResponse.SERVING)
        self.serving = True

    async def stop(self, admission: Admission | None, drain_timeout_s: float) -> None:
        """Refuses new requests, lets the others finish for at most `drain_timeout_s`, then cancels them."""
        self.serving = False
        await self._health.enter_graceful_shutdown()
        if admission is not None:
            admission.drain()
            try:
                async with asyncio.timeout(drain_timeout_s):
                    await admission.wait_idle()
            except TimeoutError:
                log.warning("drain timed out", running=admission.running, waiting=admission.waiting)
        # A request leaves admission before its last message is sent: the grace lets that message leave.
        await self._server.stop(grace=1.0)
        if self._probed is not None:
            await self._probed.stop(grace=None)

    async def _set(self, status: health_pb2.HealthCheckResponse.ServingStatus) -> None:
        for name in ("", GENERATION, INFO):
            await self._health.set(name, status)


async def wait_for_models(pool: TritonPool, repository: Repository, timeout_s: float) -> None:
    """Waits until Triton serves every model of every pipeline exactly as pipeline.json says.

    Raises:
        RepositoryError: after `timeout_s` a model still differs or Triton does not answer.
    """
    deadline = asyncio.get_running_loop().time() + timeout_s
    said = ""
    while True:
        try:
            await _check_models(pool, repository)
            return
        except (RepositoryError, BackdropError) as problem:
            if asyncio.get_running_loop().time() > deadline:
                raise RepositoryError(f"not ready after {timeout_s:g} s: {problem}") from None
            if str(problem) != said:
                said = str(problem)
                log.warning("not ready", why=said)
        await asyncio.sleep(_CHECK_INTERVAL_S)


async def _check_models(pool: TritonPool, repository: Repository) -> None:
    models = {model.name: model for spec in repository.pipelines.values() for model in spec.models.values()}
    for model in models.values():
        check_served(model, await pool.metadata(model.name, model.fingerprint))

"""A Backdrop server inside a test: it checks and composites as the service does, paints scenes, and fails on demand.

```python
with FakeBackdrop() as fake, backdrop.Client(fake.endpoint) as client:
    fake.fail_next(Reason.QUEUE_FULL)
    task = backdrop.Background("mug.png")
    result = client.generate(task, prompt="on a beach").result()  # the client retries once
    assert fake.requests[-1].conditioning.prompt == "on a beach"
```

The fake passes the same contract suite as the real service. Its scenes and scores mean nothing: they are gradients
and numbers that follow from prompt, settings and seed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import TracebackType

import grpc
import grpc.aio

from backdrop._fake.info import make_info
from backdrop._fake.quotas import NAMES
from backdrop._fake.script import Failure, Script
from backdrop._fake.service import Service
from backdrop._loop import LoopThread
from backdrop.errors import Reason, error
from backdrop.v1 import generation_service_pb2 as pb
from backdrop.v1 import info_service_pb2 as info_pb

__all__ = ["FakeBackdrop"]


class FakeBackdrop:
    """An in-process server on a free loopback port; a context manager, both `with` and `async with`.

    Args:
        step_delay_s: seconds that every denoising step takes, so that a test can cancel or pass a deadline.
        max_running: how many generations run at the same time; more wait.
        max_queued: how many may wait; the next one is refused with QUEUE_FULL.
        tokens: the tokens that it takes, each with its scopes ("generate", "info", "generate:PIPELINE"); None: it asks
            nobody for a token.
        credentials: for TLS, from `grpc.ssl_server_credentials(…)`, which may also ask for client certificates.
        without: roles that its pipelines do not have: "reward" (pictures are not scored), "segmenter" (a mask must be
            sent), "upscaler" (the task upscale is not served).
        quotas: limits by the name of the quota, as `Info.quotas` lists them; None: it has no quotas.
    """

    def __init__(
        self,
        *,
        step_delay_s: float = 0.0,
        max_running: int = 8,
        max_queued: int = 64,
        tokens: Mapping[str, Collection[str]] | None = None,
        credentials: grpc.ServerCredentials | None = None,
        without: Collection[str] = (),
        quotas: Mapping[str, float] | None = None,
    ) -> None:
        self._script = Script(step_delay_s=step_delay_s)
        self._tokens, self._credentials = tokens, credentials
        self._info = make_info(without)
        self._info.limits.max_running = max_running
        self._info.limits.max_queued = max_queued
        quotas = quotas or {}
        if unknown := sorted(set(quotas) - set(NAMES)):
            raise ValueError(f"{unknown[0]} is no quota; there are {', '.join(NAMES)}")
        self._info.quotas.extend(info_pb.Quota(name=name, limit=limit) for name, limit in quotas.items())
        self._server: grpc.aio.Server | None = None
        self._loop: LoopThread | None = None
        self._port = 0

    @property
    def endpoint(self) -> str:
        """ "host:port" to give to a client.

        Raises:
            RuntimeError: the fake has not been entered.
        """
        if not self._port:
            raise RuntimeError("the fake does not run; use it in a `with` or `async with` statement")
        return f"127.0.0.1:{self._port}"

    @property
    def info(self) -> info_pb.GetInfoResponse:
        """What the fake says about itself, limits included; a test may change it."""
        return self._info

    @property
    def requests(self) -> Sequence[pb.GenerateRequest]:
        """Every readable request that arrived, in order: refused ones and retries too."""
        return tuple(self._script.requests)

    @property
    def steps_run(self) -> int:
        """Denoising steps begun so far, over all requests and variants."""
        return self._script.steps_run

    def set_ready(self, ready: bool) -> None:
        """False: every call fails with UNAVAILABLE and health says NOT_SERVING, as before start or while draining."""
        self._script.ready = ready

    def fail_next(
        self,
        reason: Reason,
        times: int = 1,
        *,
        after_steps: int = 0,
        message: str = "This failure was scripted by the test.",
        field: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        """Makes the next `times` generations fail with `reason`, in the order of these calls.

        Args:
            reason: see `backdrop.Reason`; it decides class and status.
            times: how many generations; at least 1.
            after_steps: how many steps each runs before it fails; 0 = refused at once, before `accepted`.
            message: what the error says.
            field: the field that it names.
            retry_after_s: seconds after which it says to retry. Default: 0.01 for QUEUE_FULL, else absent.
        """
        if times < 1 or after_steps < 0:
            raise ValueError("times must be at least 1, after_steps at least 0")
        if retry_after_s is None and reason is Reason.QUEUE_FULL:
            retry_after_s = 0.01
        scripted = error(reason, message, field=field, retry_after_s=retry_after_s)
        self._script.failures += [Failure(scripted, after_steps)] * times

    async def __aenter__(self) -> FakeBackdrop:
        await self._start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stop()

    def __enter__(self) -> FakeBackdrop:
        self._loop = LoopThread("fake-backdrop")
        self._loop.run(self._start())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._loop is not None:
            self._loop.run(self._stop())
            self._loop.close()

    async def _start(self) -> None:
        limits = self._info.limits
        options = [
            ("grpc.max_receive_message_length", limits.max_request_bytes),
            ("grpc.max_send_message_length", -1),
            # Two servers must never share a port: a test would talk to another test's fake.
            ("grpc.so_reuseport", 0),
            # As the server: clients ping every 10 s.
            ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
        ]
        self._server = grpc.aio.server(options=options)
        self._server.add_generic_rpc_handlers(Service(self._script, self._info, self._tokens).handlers())
        address = "127.0.0.1:0"
        self._port = (
            self._server.add_secure_port(address, self._credentials)
            if self._credentials
            else self._server.add_insecure_port(address)
        )
        await self._server.start()

    async def _stop(self) -> None:
        if self._server is not None:
            await self._server.stop(0.1)
        self._port = 0

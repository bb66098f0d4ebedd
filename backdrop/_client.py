"""The asynchronous client: a method for each call of the server."""

from __future__ import annotations

import asyncio
import functools
import os
import time
import uuid
from types import TracebackType
from typing import Unpack

import grpc
import grpc.aio

from backdrop import _convert
from backdrop._channel import AnyCredentials, Channels
from backdrop._credentials import Credentials
from backdrop._generation import Generation
from backdrop._info import Info
from backdrop._options import Options
from backdrop._request import build_request
from backdrop._retry import RetryPolicy
from backdrop._status import from_rpc_error
from backdrop._tracing import trace_metadata
from backdrop._wire import seconds
from backdrop.contract.metadata import LONGEST_KEY, RETRY_KEY, admission_metadata
from backdrop.errors import BackdropError, DeadlineExceededError, InvalidRequestError, Reason, UnavailableError, error
from backdrop.tasks import Task
from backdrop.v1 import generation_service_pb2 as pb
from backdrop.v1 import info_service_pb2 as info_pb

DEFAULT_ENDPOINT = "127.0.0.1:50061"
_INFO_TIMEOUT_S = 10.0
# gRPC cannot express much longer ones; a call of more than a year has no deadline.
_LONGEST_S = 365 * 86_400.0
_LARGEST_MESSAGE = 2**31 - 1


class AsyncClient:
    """Talks to one Backdrop server, or to a load balancer before several. Any number of calls may run at a time.

    Args:
        endpoint: "host:port", "[::1]:port" for IPv6, "unix:/path" for a socket, or "dns:///host:port"; calls go to
            every address of a name in turn. Default: the environment variable BACKDROP_ENDPOINT, else 127.0.0.1:50061.
        timeout_s: longest time that a generation may take, retries included, in seconds; inf = no limit. It travels as
            the call's deadline; the server stops when the deadline passes, or as soon as it can no longer be met.
        credentials: `backdrop.Credentials(…)` for TLS, client certificates and tokens, or gRPC's own from
            `grpc.ssl_channel_credentials(…)`. Default: those of the environment, `Credentials.from_environment()`.
        max_message_bytes: largest message to send or to receive. Each picture comes in a message of its own; a PNG of
            16 megapixels has up to 48 MB.
        retries: how many more times a call is tried when no server or replica answers, or when a full queue says when
            to retry. 0 turns retrying off.
        proxy: whether to connect by the HTTP proxy of the environment (`https_proxy`, `http_proxy`).

    A client may be used from several event loops; each has a connection of its own. It may be made before a fork, but
    the first call must come after it: gRPC does not survive a fork.

    Raises:
        InvalidRequestError: a number is outside its range, the endpoint is not one, or gevent has replaced threads.
    """

    def __init__(
        self,
        endpoint: str | None = None,
        *,
        timeout_s: float = 600.0,
        credentials: AnyCredentials | None = None,
        max_message_bytes: int = 64 * 2**20,
        retries: int = 2,
        proxy: bool = False,
    ) -> None:
        if not isinstance(timeout_s, int | float) or not timeout_s > 0:  # not a number fails this too
            raise _out_of_range("timeout_s", timeout_s, "above 0 seconds; inf = no limit")
        if not isinstance(max_message_bytes, int) or not 1 <= max_message_bytes <= _LARGEST_MESSAGE:
            raise _out_of_range("max_message_bytes", max_message_bytes, f"an integer from 1 to {_LARGEST_MESSAGE}")
        if not isinstance(retries, int) or retries < 0:
            raise _out_of_range("retries", retries, "an integer from 0 on")
        self.endpoint = endpoint or os.environ.get("BACKDROP_ENDPOINT") or DEFAULT_ENDPOINT
        credentials = Credentials.from_environment() if credentials is None else credentials
        self._channels = Channels(self.endpoint, credentials, max_message_bytes, proxy=proxy)
        self._max_message_bytes = max_message_bytes
        self._timeout_s = timeout_s
        self._retry = RetryPolicy(retries)
        self._closed = False

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends all calls and closes the connection. A closed client cannot be used again."""
        self._closed = True
        await self._channels.close()

    def generate(self, task: Task, **options: Unpack[Options]) -> Generation:
        """Returns the generation of pictures for a task; await it, or iterate over it.

        ```python
        client.generate(backdrop.Background("mug.png"), prompt="on a beach", variants=4, top_k=2)
        ```

        Nothing is sent before the first await. An option that is absent has the server's default; `info()` tells the
        limits.

        Args:
            task: what to make: `Background(…)`, `TextToImage()` or another class of `backdrop.tasks`.
            **options: see `backdrop.Options`, or the table in docs/options.md.

        Raises:
            InvalidRequestError: a value cannot be sent at all. Everything else is judged by the server, whose refusal
                is raised, as any of the errors in `backdrop.errors`, when the generation is awaited.
        """
        request = build_request(task, options)
        timeout_s = options.get("timeout_s")
        if timeout_s is not None:
            timeout_s = seconds(timeout_s, "timeout_s")
        if not request.idempotency_key and self._retry.retries > 0:
            # With a key, a retry gets the pictures of the lost first attempt instead of paying for them again. The key
            # names this call, not its content: two calls without a seed must have two seeds, and a key made from the
            # request would answer the second with the pictures of the first.
            request.idempotency_key = uuid.uuid4().hex
        return Generation(
            # The trace is the caller's; the generation may be awaited by another asyncio task, or another thread.
            functools.partial(self._start_generate, trace_metadata()),
            request,
            retry=self._retry,
            timeout_s=timeout_s or self._timeout_s,
            endpoint=self.endpoint,
        )

    async def info(self) -> Info:
        """Returns what the server serves: pipelines, limits, model fingerprints.

        Raises:
            UnavailableError: no server answers, or it is not ready yet.
            BackdropError: anything else in `backdrop.errors`.
        """
        attempt = 0
        while True:
            try:
                return await self._info(_INFO_TIMEOUT_S)
            except BackdropError as exc:
                delay_s = self._retry.delay_s(exc, attempt)
                if delay_s is None:
                    raise
            attempt += 1
            await asyncio.sleep(delay_s)

    async def ready(self, timeout_s: float = 5.0) -> bool:
        """Returns whether the server takes requests now; waits at most `timeout_s` seconds for its answer."""
        try:
            await self._info(timeout_s)
        except InvalidRequestError:  # not the server's fault: this client is closed, or was forked
            raise
        except BackdropError:
            return False
        return True

    async def wait_ready(self, timeout_s: float = 60.0) -> Info:
        """Waits until the server takes requests, and returns what it serves.

        Raises:
            UnavailableError, DeadlineExceededError: it was not ready within `timeout_s` seconds.
            BackdropError: it answers, but is not Backdrop, or needs other credentials.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            remaining_s = deadline - time.monotonic()
            try:
                return await self._info(max(min(remaining_s, _INFO_TIMEOUT_S), 0.1))
            except (UnavailableError, DeadlineExceededError):  # the latter where a host drops packets
                if remaining_s <= 0:
                    raise
            await asyncio.sleep(min(0.25, max(remaining_s, 0.0)))

    async def _info(self, timeout_s: float) -> Info:
        metadata = self._channels.metadata()
        call = self._open().unary_unary(
            "/backdrop.v1.InfoService/GetInfo",
            info_pb.GetInfoRequest.SerializeToString,
            info_pb.GetInfoResponse.FromString,
        )
        try:
            return _convert.server_info(await call(info_pb.GetInfoRequest(), timeout=timeout_s, metadata=metadata))
        except grpc.RpcError as exc:
            raise from_rpc_error(exc, self.endpoint) from exc

    def _start_generate(
        self, metadata: tuple[tuple[str, str], ...], request: pb.GenerateRequest, timeout_s: float, attempt: int
    ) -> grpc.aio.UnaryStreamCall[pb.GenerateRequest, pb.GenerateResponse]:
        call = self._open().unary_stream(
            "/backdrop.v1.GenerationService/Generate",
            pb.GenerateRequest.SerializeToString,
            pb.GenerateResponse.FromString,
        )
        ours = [
            (LONGEST_KEY, str(self._max_message_bytes)),
            *admission_metadata(request.priority, request.idempotency_key),
        ]
        if attempt:
            # A full server looks for the result of an earlier attempt before it refuses.
            ours.append((RETRY_KEY, str(attempt)))
        return call(
            request,
            timeout=timeout_s if timeout_s < _LONGEST_S else None,
            metadata=(*metadata, *ours, *self._channels.metadata()),
        )

    def _open(self) -> grpc.aio.Channel:
        """Returns the channel of the event loop that runs now; made on first use."""
        if self._closed:
            raise error(Reason.UNUSABLE_CLIENT, "This client is closed; make a new one.")
        return self._channels.current()


def _out_of_range(name: str, value: object, bounds: str) -> BackdropError:
    return error(Reason.OUT_OF_RANGE, f"{name} is {value!r:.40}; it must be {bounds}.", field=name)

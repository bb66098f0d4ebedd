"""The asynchronous client: one channel, and a method for each thing the server can do."""

from __future__ import annotations

import asyncio
import functools
import os
import time
import uuid
from collections.abc import Sequence
from types import TracebackType

import grpc
import grpc.aio

from backdrop import _convert
from backdrop._enums import OutputFormat, Priority, Scheduler
from backdrop._generation import Generation
from backdrop._info import Info
from backdrop._request import build_request
from backdrop._retry import RetryPolicy
from backdrop._status import from_rpc_error
from backdrop._tracing import trace_metadata
from backdrop._types import Box, EarlyDropping, Fit, ImageSource, Size, StyleImage
from backdrop.errors import BackdropError, DeadlineExceededError, UnavailableError
from backdrop.v1 import generation_service_pb2 as pb
from backdrop.v1 import info_service_pb2 as info_pb

DEFAULT_ENDPOINT = "127.0.0.1:50061"
_INFO_TIMEOUT_S = 10.0


class AsyncClient:
    """Talks to one Backdrop server, or to a load balancer before several. Safe for any number of calls at a time.

    Args:
        endpoint: "host:port". Default: the environment variable BACKDROP_ENDPOINT, else 127.0.0.1:50061.
        timeout_s: how long a generation may take in all, retries included, in seconds; it travels as the call's
            deadline, and the server stops working when it passes, or as soon as it can no longer be met.
        credentials: for TLS, from `grpc.ssl_channel_credentials(…)`. Default: plain text.
        max_message_bytes: largest message to send or to take. A result holds all its pictures in one message.
        retries: how many more times a call is tried when no server or replica is there, or when a full queue says when
            to come back. 0 turns retrying off.

    Raises:
        ValueError: a number is outside its range.
    """

    def __init__(
        self,
        endpoint: str | None = None,
        *,
        timeout_s: float = 600.0,
        credentials: grpc.ChannelCredentials | None = None,
        max_message_bytes: int = 256 * 2**20,
        retries: int = 2,
    ) -> None:
        if timeout_s <= 0 or max_message_bytes < 1 or retries < 0:
            raise ValueError("timeout_s and max_message_bytes must be above 0, retries at least 0")
        self.endpoint = endpoint or os.environ.get("BACKDROP_ENDPOINT") or DEFAULT_ENDPOINT
        self._timeout_s = timeout_s
        self._credentials = credentials
        self._max_message_bytes = max_message_bytes
        self._retry = RetryPolicy(retries)
        self._channel: grpc.aio.Channel | None = None
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
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close(None)

    def generate(
        self,
        product: ImageSource,
        *,
        prompt: str = "",
        mask: ImageSource | None = None,
        negative_prompt: str = "",
        output_size: Size | None = None,
        placement: Fit | Box | None = None,
        variants: int = 1,
        top_k: int = 0,
        seed: int | None = None,
        steps: int | None = None,
        scheduler: Scheduler | str | None = None,
        guidance_scale: float | None = None,
        output_format: OutputFormat | str = OutputFormat.PNG,
        idempotency_key: str = "",
        preview_every: int = 0,
        pipeline: str = "",
        style_images: Sequence[ImageSource | StyleImage] = (),
        image_scale: float | None = None,
        priority: Priority | str = Priority.STANDARD,
        guidance_window: tuple[float, float] | None = None,
        early_dropping: EarlyDropping | Sequence[EarlyDropping] = (),
        timeout_s: float | None = None,
    ) -> Generation:
        """Returns the generation of `variants` pictures of the product in the scene of `prompt`; await it, or iterate.

        Nothing is sent before the first await. What is not given is the server's default; `info()` tells the limits.

        Args:
            product: the photo: encoded PNG, JPEG or WebP bytes, a path to such a file, a PIL image, or a uint8 array of
                shape (height, width[, 3 or 4]). At most 16 megapixels and 16 MiB. An alpha channel is a soft mask.
            prompt: the scene, in words; up to `Pipeline.max_prompt_tokens` tokens.
            mask: where the product is, of the photo's size: 255 = product, 0 = scene, between = soft edge. Default: the
                photo's alpha, else made by the segmenter.
            negative_prompt: what to keep out; read only while `guidance_scale` > 1.
            output_size: (width, height) in pixels, each 64 to 4096. Default: the photo's own size.
            placement: `Fit(…)` or `Box(…)`. Default: where the product is in the photo, or Fit() with an output size.
            variants: how many pictures to make, from 1.
            top_k: how many of them to return, best first. 0: all.
            seed: seed of the first variant, 0 to 2^63 − 1. Default: chosen by the server and reported.
            steps: denoising steps, from 1.
            scheduler: the solver.
            guidance_scale: 1.0 (off) to 20.0.
            output_format: PNG keeps the product exact to the last bit; JPEG and WebP are smaller.
            idempotency_key: up to 128 printable ASCII characters. A second call with the same key and request gets the
                first one's result. Default: a new key for each call while retries are on.
            preview_every: a preview after every N-th step of a variant, 0 to 1000. 0: none.
            pipeline: by the name that `info()` gives.
            style_images: pictures whose look the scene takes on, up to `Limits.max_style_images`, each as for `product`
                or a `StyleImage` with a weight. Only on pipelines that say `takes_style_images`.
            image_scale: how strongly the scene follows them, 0.0 (not at all) to 2.0.
            priority: how soon the pictures are wanted: interactive, standard or bulk.
            guidance_window: the part of the steps in which guidance is applied, as fractions (start, stop); outside it
                a step costs one row instead of two. None: all steps.
            early_dropping: gives up the weaker variants by drafts of few steps, or after some of the steps, in one
                round or in several, each later and keeping fewer than the one before it. Default: every variant is
                finished.
            timeout_s: instead of the client's, for this call.

        Raises:
            InvalidRequestError: a value cannot be sent at all. What else is wrong the server says, by any of the errors
                in `backdrop.errors`, when the generation is awaited.
        """
        request = build_request(
            product,
            prompt=prompt,
            mask=mask,
            negative_prompt=negative_prompt,
            output_size=output_size,
            placement=placement,
            variants=variants,
            top_k=top_k,
            seed=seed,
            steps=steps,
            scheduler=scheduler,
            guidance_scale=guidance_scale,
            output_format=output_format,
            idempotency_key=idempotency_key,
            preview_every=preview_every,
            pipeline=pipeline,
            style_images=style_images,
            image_scale=image_scale,
            priority=priority,
            guidance_window=guidance_window,
            early_dropping=early_dropping,
        )
        if not request.idempotency_key and self._retry.retries > 0:
            # With a key, a retry gets the result that its lost first attempt made, instead of paying for it again. The
            # key names this call, not what it asks for: two calls without a seed must stay two rolls of the dice, and
            # a key made from the request would answer the second with the pictures of the first. Within one call it
            # is right without a seed too: any seed that the server chose for the lost attempt was as good as another.
            request.idempotency_key = uuid.uuid4().hex
        return Generation(
            # The trace is that of whoever asks; what awaits the generation may be another task, or another thread.
            functools.partial(self._start_generate, trace_metadata()),
            request,
            retry=self._retry,
            timeout_s=self._timeout_s if timeout_s is None else timeout_s,
            endpoint=self.endpoint,
        )

    async def info(self) -> Info:
        """Returns what the server serves: pipelines, limits, model fingerprints.

        Raises:
            UnavailableError: no server is there, or it is not ready yet.
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
        except BackdropError:
            return False
        return True

    async def wait_ready(self, timeout_s: float = 60.0) -> Info:
        """Waits until the server takes requests, and returns what it serves.

        Raises:
            UnavailableError, DeadlineExceededError: it was not ready within `timeout_s` seconds.
            BackdropError: it answers, but is not Backdrop, or wants other credentials.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            left_s = deadline - time.monotonic()
            try:
                return await self._info(max(min(left_s, _INFO_TIMEOUT_S), 0.1))
            except (UnavailableError, DeadlineExceededError):  # the latter from a host that swallows packets
                if left_s <= 0:
                    raise
            await asyncio.sleep(min(0.25, max(left_s, 0.0)))

    async def _info(self, timeout_s: float) -> Info:
        call = self._open().unary_unary(
            "/backdrop.v1.InfoService/GetInfo",
            info_pb.GetInfoRequest.SerializeToString,
            info_pb.GetInfoResponse.FromString,
        )
        try:
            return _convert.server_info(await call(info_pb.GetInfoRequest(), timeout=timeout_s))
        except grpc.RpcError as exc:
            raise from_rpc_error(exc, self.endpoint) from exc

    def _start_generate(
        self, metadata: tuple[tuple[str, str], ...], request: pb.GenerateRequest, timeout_s: float
    ) -> grpc.aio.UnaryStreamCall[pb.GenerateRequest, pb.GenerateResponse]:
        call = self._open().unary_stream(
            "/backdrop.v1.GenerationService/Generate",
            pb.GenerateRequest.SerializeToString,
            pb.GenerateResponse.FromString,
        )
        return call(request, timeout=timeout_s, metadata=metadata)

    def _open(self) -> grpc.aio.Channel:
        """Returns the channel; made on first use, because it belongs to the event loop that runs then."""
        if self._closed:
            raise RuntimeError("this client is closed; make a new one")
        if self._channel is None:
            options = [
                ("grpc.max_send_message_length", self._max_message_bytes),
                ("grpc.max_receive_message_length", self._max_message_bytes),
                # After an outage gRPC would wait ever longer before it looks whether the server is back.
                ("grpc.max_reconnect_backoff_ms", 500),
            ]
            if self._credentials is None:
                self._channel = grpc.aio.insecure_channel(self.endpoint, options)
            else:
                self._channel = grpc.aio.secure_channel(self.endpoint, self._credentials, options)
        return self._channel

"""One call of Generate: await it for the result, or iterate over it for its events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Generator
from types import TracebackType
from typing import Protocol

import grpc

from backdrop import _convert
from backdrop._events import Accepted, Event, Picture, Result, Summary
from backdrop._retry import RetryPolicy
from backdrop._status import from_rpc_error
from backdrop.errors import BackdropError, Reason, error
from backdrop.v1 import generation_service_pb2 as pb


class Call(AsyncIterable[pb.GenerateResponse], Protocol):
    """What is used of a grpc.aio call."""

    def cancel(self) -> bool:
        """Ends the call; the server is told."""


class Generation:
    """A generation that runs while it is awaited or iterated over.

    ```python
    result = await client.generate(backdrop.Background("mug.png"), prompt="on a beach")

    async with client.generate(backdrop.Background("mug.png"), prompt="on a beach") as generation:
        async for event in generation:  # Accepted, StageStarted, StepProgress, VariantFinished, …
            if isinstance(event, backdrop.Picture):  # best first; the last event is Summary
                event.save(f"{event.rank}.png")
    ```

    Leaving the loop early cancels: the server stops before its next step. Both may be mixed: awaiting after some events
    waits for the rest and returns all pictures. When the call is tried again after a failure, the events start again
    with `Accepted`. Errors are those of `backdrop.errors`.
    """

    def __init__(
        self,
        start: Callable[[pb.GenerateRequest, float, int], Call],
        request: pb.GenerateRequest,
        *,
        retry: RetryPolicy,
        timeout_s: float,
        endpoint: str,
    ) -> None:
        self._start = start
        self._request = request
        self._retry = retry
        self._timeout_s = timeout_s
        self._endpoint = endpoint
        self._request_id = ""
        self._call: Call | None = None
        self._cancelled = asyncio.Event()
        self._events: AsyncGenerator[Event, None] | None = None
        self._outcome: Result | BackdropError | None = None

    @property
    def request_id(self) -> str:
        """The server's name for this request; "" until it has accepted it."""
        return self._request_id

    @property
    def idempotency_key(self) -> str:
        """The key that makes trying again safe; "" when there is none."""
        return self._request.idempotency_key

    def cancel(self) -> None:
        """Ends the generation: the server stops before its next step, and a waiting caller gets `CancelledError`.

        Does nothing once the generation is over.
        """
        self._cancelled.set()
        if self._call is not None:
            self._call.cancel()

    async def aclose(self) -> None:
        """Ends the generation if it still runs, and frees what it holds."""
        if self._events is not None:
            await self._events.aclose()

    async def __aenter__(self) -> Generation:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __await__(self) -> Generator[object, None, Result]:
        return self._wait().__await__()

    def __aiter__(self) -> Generation:
        return self

    async def __anext__(self) -> Event:
        if self._events is None:
            self._events = self._run()
        elif getattr(self._events, "ag_running", False):  # of Python's own generators, and not in their type
            message = "This generation is awaited already; wait for it in one place, and share what it returns."
            raise error(Reason.UNUSABLE_CLIENT, message)
        return await self._events.__anext__()

    async def _wait(self) -> Result:
        async for _ in self:
            pass
        if isinstance(self._outcome, Result):
            return self._outcome
        raise self._outcome or error(Reason.CANCELLED, "The generation was closed before it had finished.")

    async def _run(self) -> AsyncGenerator[Event, None]:
        """Yields the events of every attempt that the policy allows; all attempts share one deadline."""
        deadline = time.monotonic() + self._timeout_s
        attempt = 0
        while True:
            try:
                # Cancelled before the start, or between two attempts.
                self._raise_if_cancelled()
                events = self._attempt(deadline - time.monotonic(), attempt)
                try:
                    async for event in events:
                        yield event
                    return
                finally:
                    await events.aclose()
            except BackdropError as exc:
                delay_s = self._retry.delay_s(exc, attempt)
                # After the deadline the error would be DEADLINE_EXCEEDED, which hides the cause.
                if delay_s is None or time.monotonic() + delay_s >= deadline:
                    self._outcome = exc
                    raise
            attempt += 1
            await self._sleep(delay_s)

    async def _attempt(self, timeout_s: float, attempt: int) -> AsyncGenerator[Event, None]:
        pictures: list[Picture] = []
        summary: Summary | None = None
        call = self._call = self._start(self._request, timeout_s, attempt)
        try:
            async for response in call:
                event = _convert.event(response)
                if isinstance(event, Accepted):
                    self._request_id = event.request_id
                elif isinstance(event, Picture):
                    pictures.append(event)
                if isinstance(event, Summary):
                    # Yielded after the call has ended: a reader who stops at the summary cancels nothing.
                    summary = event
                elif event is not None:
                    yield event
        except grpc.RpcError as exc:
            raise from_rpc_error(exc, self._endpoint) from exc
        except asyncio.CancelledError:
            # grpc.aio raises the same when our `cancel` ended the call and when the waiting asyncio task was cancelled.
            task = asyncio.current_task()
            if task is None or not task.cancelling():
                self._raise_if_cancelled()
                raise error(
                    Reason.CANCELLED, "The client was closed before this had finished.", request_id=self._request_id
                ) from None
            raise
        finally:
            call.cancel()
        if summary is None:
            raise error(Reason.INTERNAL, "The stream ended without a summary.", request_id=self._request_id)
        self._outcome = Result.of(summary, pictures)
        yield summary

    async def _sleep(self, delay_s: float) -> None:
        try:
            await asyncio.wait_for(self._cancelled.wait(), delay_s)
        except TimeoutError:
            return

    def _raise_if_cancelled(self) -> None:
        if self._cancelled.is_set():
            raise error(Reason.CANCELLED, "The generation was cancelled.", request_id=self._request_id)

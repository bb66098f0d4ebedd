"""What the batcher handles: calls, reservations for calls that are about to come, and batches."""

from __future__ import annotations

import abc
import asyncio
import contextvars
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt

from backdrop.contract.parts import Priority
from orchestrator.scheduling.request import ScheduledRequest

Arrays = Mapping[str, npt.NDArray[Any]]
Outputs = dict[str, npt.NDArray[Any]]
Shape = tuple[tuple[str, tuple[int, ...], str], ...]


@dataclasses.dataclass(eq=False)
class Entry(abc.ABC):
    """A place in the queue: a call, or a reservation for one.

    Attributes:
        request: the request that calls.
        model: the model that is called.
        shape: name, shape without the batch dimension, and dtype of each input; calls of one shape can share a batch.
        rows: number of rows.
        cost: what class and tenant are charged, in rows × megapixels.
        since: when the entry was made, in the event loop's time.
    """

    request: ScheduledRequest
    model: str
    shape: Shape
    rows: int
    cost: float
    since: float

    @abc.abstractmethod
    def obsolete(self, now: float) -> bool:
        """Whether the entry should leave the queue without being served."""


@dataclasses.dataclass(eq=False)
class Reservation(Entry):
    """A place for the next call of a request that has said that it will call again at once.

    Attributes:
        expires_at: when the place is lost, in the event loop's time.
    """

    expires_at: float

    def obsolete(self, now: float) -> bool:
        """Whether the reservation has expired."""
        return self.expires_at <= now

    def is_for(self, call: Call) -> bool:
        """Whether `call` is the one that the place was kept for."""
        return self.request is call.request and self.model == call.model


class Call(Entry):
    """A call whose inputs are here; `again` says that its caller will call the same model again at once."""

    def __init__(
        self, request: ScheduledRequest, model: str, inputs: Arrays, *, cost: float, request_id: str, again: bool
    ) -> None:
        loop = asyncio.get_running_loop()
        shape = tuple((name, value.shape[1:], value.dtype.str) for name, value in sorted(inputs.items()))
        super().__init__(request, model, shape, len(next(iter(inputs.values()))), cost, loop.time())
        self.inputs = inputs
        self.request_id = request_id
        self.again = again
        self.context = contextvars.copy_context()
        self.outputs: asyncio.Future[Outputs] = loop.create_future()
        self.batch: Batch | None = None

    def obsolete(self, now: float) -> bool:
        """Whether the caller was cancelled, even if it has not run since, or cannot meet its deadline any more."""
        return self.outputs.done() or self.request.lost()

    def answer(self, outputs: Outputs) -> None:
        """Gives the caller its outputs, if it still waits."""
        if not self.outputs.done():
            self.outputs.set_result(outputs)

    def fail(self, problem: Exception) -> None:
        """Raises a problem in the caller, if it still waits."""
        if not self.outputs.done():
            self.outputs.set_exception(problem)

    @property
    def returns(self) -> bool:
        """Whether the caller has its outputs and is about to call again."""
        return self.again and self.outputs.done() and not self.outputs.cancelled() and not self.outputs.exception()

    def reservation(self, expires_at: float) -> Reservation:
        """A place for the caller's next call."""
        now = asyncio.get_running_loop().time()
        return Reservation(self.request, self.model, self.shape, self.rows, self.cost, now, expires_at)


class Batch:
    """Calls that go to a model together."""

    def __init__(self, calls: Sequence[Call]) -> None:
        self.calls = list(calls)
        self.rows = sum(call.rows for call in calls)
        self.overlapped = False
        """Whether another batch of the model was queued before or behind it: then its duration includes a wait."""
        self.task: asyncio.Task[None] | None = None
        for call in self.calls:
            call.batch = self

    def cancel_if_abandoned(self) -> None:
        """Cancels the batch once none of its callers waits any more."""
        if self.task is not None and all(call.outputs.done() for call in self.calls):
            self.task.cancel()

    @property
    def priority(self) -> Priority:
        """The highest class among its calls."""
        return min(call.request.priority for call in self.calls)

    @property
    def request_id(self) -> str:
        """For logs: the id of the first call, and the number of other calls."""
        others = len(self.calls) - 1
        return f"{self.calls[0].request_id}+{others}" if others else self.calls[0].request_id

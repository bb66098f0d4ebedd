"""What waits for a model: calls, seats of callers on their way back, and the batches that calls leave in."""

from __future__ import annotations

import asyncio
import contextvars
import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt

from backdrop.contract.parts import Priority
from orchestrator.scheduling.order import Applicant

Arrays = Mapping[str, npt.NDArray[Any]]
Outputs = dict[str, npt.NDArray[Any]]
Shape = tuple[tuple[str, tuple[int, ...], str], ...]


@dataclasses.dataclass(eq=False)
class Seat:
    """A place in the queue: of a call that is here, or of one that is expected until a moment of the loop's time.

    Attributes:
        applicant: for whom.
        model: which one is called.
        shape: name, shape without the batch dimension, and dtype of each input; calls of one shape can share a batch.
        rows: how many.
        cost: what they are charged with.
        since: when it was taken, in the loop's time.
        expires: when a caller who is not back has lost it.
    """

    applicant: Applicant
    model: str
    shape: Shape
    rows: int
    cost: float
    since: float
    expires: float = math.inf

    @property
    def here(self) -> bool:
        """Whether there is a call in it."""
        return self.expires == math.inf

    def given_up(self, now: float) -> bool:
        """Whether nobody wants it any more."""
        return self.expires <= now


class Call(Seat):
    """A call that is here; everything after `again` is filled in as it is served."""

    def __init__(
        self, applicant: Applicant, model: str, inputs: Arrays, *, cost: float, request_id: str, again: bool
    ) -> None:
        loop = asyncio.get_running_loop()
        shape = tuple((name, value.shape[1:], value.dtype.str) for name, value in sorted(inputs.items()))
        super().__init__(applicant, model, shape, len(next(iter(inputs.values()))), cost, loop.time())
        self.inputs = inputs
        self.request_id = request_id
        self.again = again
        self.context = contextvars.copy_context()
        self.outputs: asyncio.Future[Outputs] = loop.create_future()
        self.batch: Batch | None = None

    def given_up(self, now: float) -> bool:
        """Whether its caller was cancelled, perhaps without having noticed, or cannot be served in time any more."""
        return self.outputs.done() or self.applicant.lost()

    def answer(self, outputs: Outputs) -> None:
        """Gives the caller its outputs, if it still waits."""
        if not self.outputs.done():
            self.outputs.set_result(outputs)

    def fail(self, problem: Exception) -> None:
        """Lets the caller hear of a problem, if it still waits."""
        if not self.outputs.done():
            self.outputs.set_exception(problem)

    @property
    def comes_back(self) -> bool:
        """Whether its caller, who has the outputs, is about to call again."""
        return self.again and self.outputs.done() and not self.outputs.cancelled() and not self.outputs.exception()

    def seat(self, expires: float) -> Seat:
        """A seat for its caller's next call."""
        now = asyncio.get_running_loop().time()
        return Seat(self.applicant, self.model, self.shape, self.rows, self.cost, now, expires)


class Batch:
    """Calls that leave together."""

    def __init__(self, calls: Sequence[Call]) -> None:
        self.calls = list(calls)
        self.rows = sum(call.rows for call in calls)
        self.alone = True
        """Whether no other batch of the model was queued behind or before it: then its time says what it costs."""
        self.task: asyncio.Task[None] | None = None
        for call in self.calls:
            call.batch = self

    def left(self) -> None:
        """One of its callers has gone; when nobody is left, so has the batch."""
        if self.task is not None and all(call.outputs.done() for call in self.calls):
            self.task.cancel()

    @property
    def priority(self) -> Priority:
        """The highest class among its calls."""
        return min(call.applicant.priority for call in self.calls)

    @property
    def request_id(self) -> str:
        """For logs: the first call's, and how many others there are."""
        others = len(self.calls) - 1
        return f"{self.calls[0].request_id}+{others}" if others else self.calls[0].request_id

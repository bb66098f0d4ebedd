"""Batches: model calls of many requests wait here in fair order, and leave together at step boundaries."""

from __future__ import annotations

import asyncio
import collections
from collections.abc import Callable
from typing import Protocol

from backdrop.contract.parts import Priority
from backdrop.errors import BackdropError, Reason, error
from orchestrator.concurrency import gather
from orchestrator.scheduling.call import Arrays, Batch, Call, Entry, Outputs, Reservation
from orchestrator.scheduling.cost import BatchCost
from orchestrator.scheduling.fair_queue import FairQueue
from orchestrator.scheduling.merge import joined, pieces, split
from orchestrator.scheduling.model_queue import Capacity, ModelQueue
from orchestrator.scheduling.request import ScheduledRequest
from orchestrator.telemetry import open_span, past_span

# From the answer of one model to the call of another: the picture is put on its canvas, or composited.
_BETWEEN_MODELS_S = 0.01
# Batches of a model at one replica: one that runs, and one queued behind it.
_BATCHES_PER_REPLICA = 2


class RunModel(Protocol):
    """Runs a model on a batch of rows, on any replica; `priority` is for the queue of that replica."""

    async def __call__(self, model: str, inputs: Arrays, *, request_id: str, priority: Priority) -> Outputs: ...


class Batcher:
    """Decides which calls form a batch and when it leaves (docs/decisions/0022-gathered-batches.md).

    A replica runs one batch of a model at a time. When it is free, the next batch takes calls in fair order, as many
    as finish soonest together. A caller of the previous batch that will call again has a reservation in the queue; a
    batch that includes a reservation waits for that call, for some milliseconds at most.

    While a request has work for a replica, calls of lower classes are kept from that replica, whatever model they
    call: the models of one replica compute on one device, and a running batch is not stopped. A class that has used
    up its share keeps no replica free.

    Args:
        run: runs a batch.
        capacity: of a model now; read at each decision, since replicas come and go.
        saturated: whether requests wait for admission, so that the backlog has no end.
        observe: called for each call that leaves, with its class and the seconds that it waited.
        new_cost: makes what learns the cost of the batches of one model at one shape.
    """

    def __init__(
        self,
        run: RunModel,
        capacity: Callable[[str], Capacity],
        saturated: Callable[[], bool] = lambda: False,
        observe: Callable[[Priority, float], None] = lambda priority, seconds: None,
        new_cost: Callable[[], BatchCost] = BatchCost,
    ) -> None:
        self._run = run
        self._capacity = capacity
        self._saturated = saturated
        self._observe = observe
        self._waiting: FairQueue[Entry] = FairQueue()
        self._queues: collections.defaultdict[str, ModelQueue] = collections.defaultdict(lambda: ModelQueue(new_cost))
        self._between_models: dict[ScheduledRequest, float] = {}
        """Requests that have a model's answer and may call another model until then, in the event loop's time."""

    @property
    def running_rows(self) -> collections.Counter[str]:
        """Rows that are at each model now."""
        return collections.Counter(
            {model: sum(batch.rows for batch in queue.batches) for model, queue in self._queues.items()}
        )

    @property
    def waiting_rows(self) -> collections.Counter[str]:
        """Rows that wait for their turn at each model."""
        rows: collections.Counter[str] = collections.Counter()
        for entry in self._waiting:
            if isinstance(entry, Call):
                rows[entry.model] += entry.rows
        return rows

    def max_rows(self, model: str) -> int:
        """Rows that a batch of the model may have now."""
        return self._capacity(model).max_rows

    def ticket(self, request: ScheduledRequest, megapixels: float) -> Ticket:
        """What a request makes its calls with; `megapixels` is the size of a row of latents."""
        return Ticket(self, request, megapixels)

    async def serve(self, call: Call) -> Outputs:
        """Runs a call in a batch; raises what the batch raised. Cancelling takes the call out of the batch."""
        queue = self._queues[call.model]
        self._between_models.pop(call.request, None)
        reservations = (entry for entry in self._waiting if isinstance(entry, Reservation))
        reservation = next((each for each in reservations if each.is_for(call)), None)
        if reservation is None:
            self._waiting.push(call)
        else:
            queue.record_return(call.since - reservation.since)
            queue.awaited.discard(reservation)
            self._waiting.replace(reservation, call)
        if not queue.awaited:  # else the next batch is decided, and waits for other callers
            self._dispatch(call.model)
        try:
            return await call.outputs
        except asyncio.CancelledError:
            if call.batch is None:
                self._waiting.discard(call)
                self._dispatch_all()
            else:
                call.batch.cancel_if_abandoned()
            raise

    def leave(self, request: ScheduledRequest) -> None:
        """Ends a request: no replica is kept free for it any more."""
        if self._between_models.pop(request, None) is not None:
            self._dispatch_all()

    def _dispatch_all(self) -> None:
        for model in {entry.model: None for entry in self._waiting}:
            self._dispatch(model)

    def _dispatch(self, model: str) -> None:
        """Sends every batch of the model that should leave now."""
        queue, capacity = self._queues[model], self._capacity(model)
        queue.awaited.clear()
        now = asyncio.get_running_loop().time()
        for entry in [entry for entry in self._waiting if entry.model == model and entry.obsolete(now)]:
            self._waiting.discard(entry)
            if isinstance(entry, Call):
                entry.fail(_too_late(entry.request))  # no effect if the caller was cancelled
        self._between_models = {request: until for request, until in self._between_models.items() if until > now}
        while entries := self._next(model, queue, capacity):
            calls = [entry for entry in entries if isinstance(entry, Call)]
            if len(calls) < len(entries):
                queue.await_callers(entries, lambda: self._dispatch(model))
                return
            self._send(model, queue, Batch(calls), overlapped=len(queue.batches) >= capacity.replicas)

    def _next(self, model: str, queue: ModelQueue, capacity: Capacity) -> list[Entry]:
        """The entries of the next batch; empty if none should leave now."""
        behind = len(queue.batches) >= capacity.replicas  # the batch would be queued behind a running one
        if len(queue.batches) >= _BATCHES_PER_REPLICA * capacity.replicas > 0:
            return []
        due = [entry for entry in self._waiting if entry.model == model and (isinstance(entry, Call) or not behind)]
        lead = self._waiting.first(due.__contains__)
        # In an outage no call is held back: otherwise requests would learn of the outage one after another.
        if lead is None or not capacity.replicas:
            return [] if lead is None else [lead]
        if self._kept_free(queue, lead, capacity, behind=behind):
            return []
        alike = [entry for entry in self._waiting if entry.model == model and entry.shape == lead.shape]
        lower = [entry for entry in alike if self._waiting.outranks(lead.request, entry.request)]
        sizing = queue.sizing(
            lead.shape,
            sum(entry.rows for entry in alike if entry not in lower),
            capacity,
            saturated=self._saturated() and not lower,  # a lower class's backlog does not concern a higher class
        )
        entries, rows = [lead], lead.rows
        for entry in self._waiting.ranked(lambda entry: entry is not lead and entry in due and entry in alike):
            if entry in lower or not sizing.grows(rows, rows + entry.rows):
                break
            entries.append(entry)
            rows += entry.rows
        if behind and not sizing.follows(rows):
            return []
        return entries + queue.additions(lead.shape, rows, [entry for entry in lower if entry in due], capacity)

    def _kept_free(self, queue: ModelQueue, lead: Entry, capacity: Capacity, *, behind: bool) -> bool:
        """Whether the free replicas are kept for active requests of classes before the lead's."""

        def before(request: ScheduledRequest) -> bool:
            return self._waiting.outranks(request, lead.request)

        running = [call for other in self._queues.values() for batch in other.batches for call in batch.calls]
        active = {request for request in self._between_models if before(request)}
        for entry in (*self._waiting, *running):
            if before(entry.request) and capacity.addresses & self._capacity(entry.model).addresses:
                active.add(entry.request)
        if behind:
            return bool(active)
        served = {call.request for batch in queue.batches for call in batch.calls}
        return len(queue.batches) + len(active - served) >= capacity.replicas

    def _send(self, model: str, queue: ModelQueue, batch: Batch, *, overlapped: bool) -> None:
        loop = asyncio.get_running_loop()
        for call in batch.calls:
            self._waiting.serve(call, call.cost)
            call.request.work = max(0.0, call.request.work - call.cost)
            waited_s = loop.time() - call.since
            self._observe(call.request.priority, waited_s)
            call.context.run(past_span, "turn", waited_s, model=model)
        queue.sent(batch, overlapped=overlapped)
        # In the context of the first caller, so that its trace continues in Triton.
        batch.task = loop.create_task(self._work(model, queue, batch), context=batch.calls[0].context)

    async def _work(self, model: str, queue: ModelQueue, batch: Batch) -> None:
        loop = asyncio.get_running_loop()
        began, answered = loop.time(), False
        try:
            answered = await self._answer(model, queue, batch)
        finally:
            seconds = loop.time() - began
            queue.done(batch, seconds if answered else None)
            lead = open_span()  # this task runs in the context of the first caller, whose trace shows the batch
            for call in batch.calls[1:]:
                call.context.run(past_span, model, seconds, link=lead, rows=call.rows)
            for call in batch.calls:
                call.outputs.cancel()  # no effect on a call that was answered
                if call.returns:
                    self._waiting.push(call.reservation(loop.time() + queue.reservation_s))
                elif call.request.priority is not Priority.BULK:
                    self._between_models[call.request] = loop.time() + _BETWEEN_MODELS_S
                    loop.call_later(_BETWEEN_MODELS_S, self._dispatch_all)
            self._dispatch_all()

    async def _answer(self, model: str, queue: ModelQueue, batch: Batch) -> bool:
        """Answers every call of the batch; returns whether one run of the model did."""
        try:
            inputs = queue.merger.merge([call.inputs for call in batch.calls])
            outputs = await self._run(model, inputs, request_id=batch.request_id, priority=batch.priority)
        except Exception as problem:
            if len(batch.calls) > 1 and isinstance(problem, BackdropError) and problem.reason is Reason.MODEL_FAILED:
                # One bad request does not fail its batch-mates.
                await asyncio.gather(*(self._alone(model, call) for call in batch.calls))
            else:
                for call in batch.calls:
                    call.fail(problem)
            return False
        for call, own in zip(batch.calls, split(outputs, [call.rows for call in batch.calls]), strict=True):
            call.answer(own)
        return True

    async def _alone(self, model: str, call: Call) -> None:
        try:
            priority = call.request.priority
            call.answer(await self._run(model, call.inputs, request_id=call.request_id, priority=priority))
        except Exception as problem:
            call.fail(problem)


class Ticket:
    """One request's access to the batcher."""

    def __init__(self, batcher: Batcher, request: ScheduledRequest, megapixels: float) -> None:
        self._batcher = batcher
        self._request = request
        self._megapixels = megapixels

    def close(self) -> None:
        """Says that the request makes no more calls."""
        self._batcher.leave(self._request)

    async def infer(self, model: str, inputs: Arrays, *, request_id: str, again: bool = False) -> Outputs:
        """Runs a model on rows; `again` says that the next call of the model follows at once.

        More rows than a batch of the model may have go in several calls.
        """
        rows, most = len(next(iter(inputs.values()))), self._batcher.max_rows(model)
        if rows <= most:
            return await self._call(model, inputs, request_id, again=again)
        parts = pieces(inputs, most)
        # The caller returns once all are answered, so one reservation is enough.
        flags = [again and index == len(parts) - 1 for index in range(len(parts))]
        calls = (self._call(model, part, request_id, again=flag) for part, flag in zip(parts, flags, strict=True))
        return joined(await gather(*calls))

    async def _call(self, model: str, inputs: Arrays, request_id: str, *, again: bool) -> Outputs:
        # A model that reads pictures is charged for their size: tiles are smaller than scenes.
        image = inputs.get("image")
        megapixels = self._megapixels if image is None else image.shape[-2] * image.shape[-1] / 1e6
        cost = len(next(iter(inputs.values()))) * megapixels
        call = Call(self._request, model, inputs, cost=cost, request_id=request_id, again=again)
        return await self._batcher.serve(call)


def _too_late(request: ScheduledRequest) -> BackdropError:
    remaining_s, need_s = max(request.remaining_s, 0.0), request.need_s()
    message = f"the deadline can no longer be met: {remaining_s:.2f} s are left for what takes {need_s:.2f} s at least."
    return error(Reason.DEADLINE_EXCEEDED, message)

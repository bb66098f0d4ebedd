"""Batches: the calls of many jobs wait here in fair order, and leave together at the boundaries of steps."""

from __future__ import annotations

import asyncio
import collections
from collections.abc import Callable
from typing import Protocol

from backdrop.contract.parts import Priority
from backdrop.errors import BackdropError, Reason, error
from orchestrator.scheduling.call import Arrays, Batch, Call, Outputs, Seat
from orchestrator.scheduling.cost import BatchCost
from orchestrator.scheduling.engine import Capacity, Engine
from orchestrator.scheduling.fair_queue import FairQueue
from orchestrator.scheduling.merge import split
from orchestrator.scheduling.order import Applicant
from orchestrator.telemetry import open_span, past_span

# From the answer of one model to the call of another: a picture is put on its canvas, or composited.
_BETWEEN_S = 0.01


class Run(Protocol):
    """Runs a model on a batch of rows, somewhere; others who send there are served before or after it by `priority`."""

    async def __call__(self, model: str, inputs: Arrays, *, request_id: str, priority: Priority) -> Outputs: ...


class Batcher:
    """Decides whose rows go to a model, when, and with whom (docs/decisions/0022-gathered-batches.md).

    A replica has one batch of a model at a time. When it is free, the next one is made of the calls that are due in
    fair order, as many as finish soonest together. Callers of the batch before who will call again have a seat in the
    queue as if they were back: if it is in the next batch, that waits for them, for some milliseconds at most.

    A request keeps a replica free from those of lower classes, whatever model they call, for as long as its class has
    its share: models of one replica compute on one device, and what runs is not stopped.

    Args:
        run: runs a batch.
        capacity: of a model now; read at each decision, since replicas come and go.
        saturated: whether requests wait for those that run: then there is no end to the backlog.
        observe: hears of each call that leaves: its class, and how many seconds it waited.
        new_cost: makes what learns the cost of the batches of one model at one shape.
    """

    def __init__(
        self,
        run: Run,
        capacity: Callable[[str], Capacity],
        saturated: Callable[[], bool] = lambda: False,
        observe: Callable[[Priority, float], None] = lambda priority, seconds: None,
        new_cost: Callable[[], BatchCost] = BatchCost,
    ) -> None:
        self._run = run
        self._capacity = capacity
        self._saturated = saturated
        self._observe = observe
        self._queue: FairQueue[Seat] = FairQueue()
        self._engines: collections.defaultdict[str, Engine] = collections.defaultdict(lambda: Engine(new_cost))
        self._between: dict[Applicant, float] = {}
        """Who has had a model's answer and may call another until then, in the loop's time."""

    @property
    def out(self) -> int:
        """Rows that are at models now."""
        return sum(batch.rows for engine in self._engines.values() for batch in engine.batches)

    @property
    def waiting(self) -> int:
        """Rows that wait here."""
        return sum(seat.rows for seat in self._queue if seat.here)

    def ticket(self, applicant: Applicant, megapixels: float) -> Ticket:
        """What a job makes its calls with."""
        return Ticket(self, applicant, megapixels)

    async def serve(self, call: Call) -> Outputs:
        """Runs a call, beside others or alone; raises what its batch raised. Cancelling it leaves the batch."""
        engine = self._engines[call.model]
        self._between.pop(call.applicant, None)
        seat = next((each for each in self._queue if _awaits(each, call)), None)
        if seat is None:
            self._queue.push(call)
        else:
            engine.came_back(call.since - seat.since)
            engine.awaited.discard(seat)
            self._queue.replace(seat, call)
        if not engine.awaited:  # else the next batch waits for somebody still, and for nothing else
            self._dispatch(call.model)
        try:
            return await call.outputs
        except asyncio.CancelledError:
            if call.batch is None:
                self._queue.discard(call)
                self._dispatch_all()
            else:
                call.batch.left()
            raise

    def leave(self, applicant: Applicant) -> None:
        """Its job is over: nothing is kept free for it any more."""
        if self._between.pop(applicant, None) is not None:
            self._dispatch_all()

    def _dispatch_all(self) -> None:
        for model in {seat.model: None for seat in self._queue}:
            self._dispatch(model)

    def _dispatch(self, model: str) -> None:
        """Sends what should leave now."""
        engine, capacity = self._engines[model], self._capacity(model)
        engine.awaited.clear()
        now = asyncio.get_running_loop().time()
        for given_up in [seat for seat in self._queue if seat.model == model and seat.given_up(now)]:
            self._queue.discard(given_up)
            if isinstance(given_up, Call):
                given_up.fail(_too_late(given_up.applicant))  # nothing to one whose caller was cancelled
        self._between = {applicant: until for applicant, until in self._between.items() if until > now}
        while seats := self._next(model, engine, capacity):
            calls = [seat for seat in seats if isinstance(seat, Call)]
            if len(calls) < len(seats):
                engine.wait(seats, lambda: self._dispatch(model))
                return
            self._send(model, engine, Batch(calls), crowded=len(engine.batches) >= capacity.replicas)

    def _next(self, model: str, engine: Engine, capacity: Capacity) -> list[Seat]:
        """The seats of the next batch; none where nothing should leave."""
        behind = len(engine.batches) >= capacity.replicas
        if len(engine.batches) >= 2 * capacity.replicas > 0:
            return []
        due = [seat for seat in self._queue if seat.model == model and (seat.here or not behind)]
        lead = self._queue.first(due.__contains__)
        # In an outage nothing is held back: every job should hear of it now, not one after another.
        if lead is None or not capacity.replicas:
            return [] if lead is None else [lead]
        if self._kept_free(engine, lead, capacity, behind=behind):
            return []
        like = [seat for seat in self._queue if seat.model == model and seat.shape == lead.shape]
        below = [seat for seat in like if self._queue.class_before(lead.applicant, seat.applicant)]
        plan = engine.plan(
            lead.shape,
            sum(seat.rows for seat in like if seat not in below),
            capacity,
            saturated=self._saturated() and not below,  # a higher class has no part in a lower one's backlog
        )
        seats, rows = [lead], lead.rows
        for seat in self._queue.together(lambda seat: seat is not lead and seat in due and seat in like):
            if seat in below or not plan.grows(rows, rows + seat.rows):
                break
            seats.append(seat)
            rows += seat.rows
        if behind and not plan.follows(rows):
            return []
        return seats + engine.passengers(lead.shape, rows, [seat for seat in below if seat in due], capacity)

    def _kept_free(self, engine: Engine, lead: Seat, capacity: Capacity, *, behind: bool) -> bool:
        """Whether requests of classes before the lead's have the replicas to themselves."""

        def before(applicant: Applicant) -> bool:
            return self._queue.class_before(applicant, lead.applicant)

        out = [call for other in self._engines.values() for batch in other.batches for call in batch.calls]
        pressing = {applicant for applicant in self._between if before(applicant)}
        for seat in (*self._queue, *out):
            if before(seat.applicant) and capacity.where & self._capacity(seat.model).where:
                pressing.add(seat.applicant)
        if behind:
            return bool(pressing)
        running = {call.applicant for batch in engine.batches for call in batch.calls}
        return len(engine.batches) + len(pressing - running) >= capacity.replicas

    def _send(self, model: str, engine: Engine, batch: Batch, *, crowded: bool) -> None:
        loop = asyncio.get_running_loop()
        for call in batch.calls:
            self._queue.serve(call, call.cost)
            call.applicant.work = max(0.0, call.applicant.work - call.cost)
            waited_s = loop.time() - call.since
            self._observe(call.applicant.priority, waited_s)
            call.context.run(past_span, "turn", waited_s, model=model)
        engine.sent(batch, crowded=crowded)
        # In the first caller's context: its trace goes on into Triton.
        batch.task = loop.create_task(self._work(model, engine, batch), context=batch.calls[0].context)

    async def _work(self, model: str, engine: Engine, batch: Batch) -> None:
        loop = asyncio.get_running_loop()
        began, answered = loop.time(), False
        try:
            answered = await self._answer(model, engine, batch)
        finally:
            seconds = loop.time() - began
            engine.done(batch, seconds if answered else None)
            lead = open_span()  # below which the batch is told: this task runs in the first caller's context
            for call in batch.calls[1:]:
                call.context.run(past_span, model, seconds, link=lead, rows=call.rows)
            for call in batch.calls:
                call.outputs.cancel()  # nothing to those that are answered
                if call.comes_back:
                    self._queue.push(call.seat(loop.time() + engine.patience_s))
                elif call.applicant.priority is not Priority.BULK:
                    self._between[call.applicant] = loop.time() + _BETWEEN_S
                    loop.call_later(_BETWEEN_S, self._dispatch_all)
            self._dispatch_all()

    async def _answer(self, model: str, engine: Engine, batch: Batch) -> bool:
        """Answers every call of the batch; says whether one run of the model did."""
        try:
            inputs = engine.merger.merge([call.inputs for call in batch.calls])
            outputs = await self._run(model, inputs, request_id=batch.request_id, priority=batch.priority)
        except Exception as problem:
            if len(batch.calls) > 1 and isinstance(problem, BackdropError) and problem.reason is Reason.MODEL_FAILED:
                # One bad request does not fail its company.
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
            priority = call.applicant.priority
            call.answer(await self._run(model, call.inputs, request_id=call.request_id, priority=priority))
        except Exception as problem:
            call.fail(problem)


class Ticket:
    """One job's right to calls."""

    def __init__(self, batcher: Batcher, applicant: Applicant, megapixels: float) -> None:
        self._batcher = batcher
        self.applicant = applicant
        self._megapixels = megapixels

    def close(self) -> None:
        """The job makes no more calls."""
        self._batcher.leave(self.applicant)

    async def infer(self, model: str, inputs: Arrays, *, request_id: str, again: bool = False) -> Outputs:
        """Runs a model on a batch of rows; `again` says that the next call of it follows at once."""
        cost = len(next(iter(inputs.values()))) * self._megapixels
        call = Call(self.applicant, model, inputs, cost=cost, request_id=request_id, again=again)
        return await self._batcher.serve(call)


def _too_late(applicant: Applicant) -> BackdropError:
    left_s, need_s = max(applicant.left_s, 0.0), applicant.need_s()
    message = f"the deadline can no longer be met: {left_s:.2f} s are left for what takes {need_s:.2f} s at least."
    return error(Reason.DEADLINE_EXCEEDED, message)


def _awaits(seat: Seat, call: Call) -> bool:
    return not seat.here and seat.applicant is call.applicant and seat.model == call.model

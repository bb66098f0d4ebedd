"""A pool of Triton replicas that behaves like one reliable server.

Every call goes to the ready replica with the fewest rows outstanding. When it fails, its cause says whether another
attempt makes sense, and what to think of the replica. Calls are stateless towards Triton, so any replica can redo any
call that serves its model: a lost replica costs the step that ran on it, and nothing else.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy.typing as npt
import structlog

from backdrop.errors import BackdropError, Reason, error
from orchestrator.telemetry import span
from orchestrator.triton.causes import TREATMENTS, CallFailed, Cause
from orchestrator.triton.endpoints import Endpoints
from orchestrator.triton.fleet import Fleet, least_loaded
from orchestrator.triton.health import Health, another
from orchestrator.triton.replica import Replica, Standing
from orchestrator.triton.shared_memory import Sharing
from orchestrator.triton.tensors import ModelMetadata, batch_rows
from orchestrator.triton.wire import Wire

log = structlog.get_logger("orchestrator.triton")

_MAX_ATTEMPTS = 5
_BACKOFF_S = 0.05
_METADATA_TIMEOUT_S = 5.0
_RETRY_AFTER_S = 1.0


class CallObserver(Protocol):
    """Hears of every attempt; `outcome` is "ok", "cancelled" or a `Cause`."""

    def on_call(self, model: str, replica: str, rows: int, seconds: float, outcome: str) -> None: ...


class TritonPool:
    """Inference on whichever replica can do it.

    Args:
        endpoints: "host:port" of a replica each, "dns:///host:port" for every address of a name, or
            "kubernetes:///service.namespace:port" for every ready pod of a Service.
        step_timeout_s: for one attempt of one call.
        probe_interval_s: between two probes of a replica.
        probe_timeout_s: within which a replica in service must say that it is ready.
        patience_s: how long a call waits for some replica to become ready.
        resolve_interval_s: between two look-ups of a dns endpoint.
        max_message_bytes: of a request or an answer.
        observer: hears of every attempt.
        wire: lays out what is sent; the pool closes it.
        sharing: which replicas may be referred to the wire's region.

    Raises:
        ValueError: there is no endpoint, or one is not well formed.
    """

    def __init__(
        self,
        endpoints: Sequence[str],
        *,
        step_timeout_s: float = 30,
        probe_interval_s: float = 0.5,
        probe_timeout_s: float = 0.7,
        patience_s: float = 10,
        resolve_interval_s: float = 5,
        max_message_bytes: int = 256 << 20,
        observer: CallObserver | None = None,
        wire: Wire | None = None,
        sharing: Sharing = Sharing.OFF,
    ) -> None:
        self._wire = wire or Wire()
        self._sharing = sharing
        self._endpoints = Endpoints(endpoints)
        self._step_timeout_s = step_timeout_s
        self._probe_timeout_s = probe_timeout_s
        self._patience_s = patience_s
        self._resolve_interval_s = resolve_interval_s
        self._max_message_bytes = max_message_bytes
        self._observer = observer
        self._fleet = Fleet()
        self._watches: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._clock = itertools.count(1)
        self._closed = False
        self._health = Health(
            interval_s=probe_interval_s,
            timeout_s=probe_timeout_s,
            infer_timeout_s=min(5.0, step_timeout_s),
            dispensable=self._fleet.can_do_without,
            changed=self._fleet.changed,
        )

    async def start(self) -> None:
        """Connects and probes each replica once. Returns soon even if none answers: probing goes on."""
        await self._endpoints.start()
        self._follow(await self._endpoints.addresses())
        if self._endpoints.change:
            self._spawn(self._follow_names())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2 * self._probe_timeout_s):
                for replica in list(self._fleet.replicas.values()):
                    await replica.probed.wait()

    async def close(self) -> None:
        """Stops probing and closes the channels; calls in flight fail."""
        self._closed = True
        self._fleet.changed()
        tasks = [*self._tasks, *self._watches.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._endpoints.close()
        replicas = list(self._fleet.replicas.values())
        self._fleet.replicas.clear()
        self._watches.clear()
        await asyncio.gather(*(replica.close_now() for replica in replicas))
        self._wire.close()

    @property
    def ready_replicas(self) -> int:
        """Number of replicas in service; of the model that has fewest, once models were asked for."""
        return self._fleet.scarcest(self._health.models)

    def usable_replicas(self, model: str) -> frozenset[str]:
        """Addresses of the replicas that a call of the model may go to now."""
        return frozenset(replica.address for replica in self._fleet.usable(model))

    def max_batch_rows(self, model: str) -> int:
        """Rows that a batch of the model may have; 1 while its metadata was not asked for."""
        return self._health.max_batch_rows(model)

    async def ready(self) -> bool:
        """Whether every model that was asked for has a replica in service."""
        return self.ready_replicas > 0

    async def metadata(self, model: str, fingerprint: str = "") -> ModelMetadata:
        """Returns what the ready replicas say of a model, and learns which of them serve it.

        From then on, replicas that serve another fingerprint under that name are kept out.

        Args:
            model: its name in the repository.
            fingerprint: the one that is wanted; "" = the first that is found. Where no replica has the wanted one,
                another's answer is returned, and nobody is kept out.

        Raises:
            UnavailableError: no replica is ready, or none serves the model; at once, without waiting.
        """
        ready = self._fleet.ready()
        answers = await asyncio.gather(*(self._ask(replica, model) for replica in ready))
        found = {replica: answer for replica, answer in zip(ready, answers, strict=True) if answer is not None}
        if not found:
            raise error(Reason.NO_REPLICA, TREATMENTS[Cause.GONE].message.format(model=model))
        first = next(iter(found.values()))
        chosen = next((answer for answer in found.values() if answer.fingerprint == fingerprint), first)
        if chosen.fingerprint == (fingerprint or chosen.fingerprint):
            self._health.accept(chosen)
            for replica, answer in found.items():
                if answer.fingerprint != chosen.fingerprint:
                    self._health.doubt(replica, another(answer))
        return chosen

    async def _ask(self, replica: Replica, model: str) -> ModelMetadata | None:
        try:
            return await self._health.ask(replica, model, _METADATA_TIMEOUT_S)
        except CallFailed as failure:
            log.warning("no metadata", model=model, replica=replica.address, why=failure.detail)
            return None

    async def infer(
        self,
        model: str,
        inputs: Mapping[str, npt.NDArray[Any]],
        *,
        timeout_s: float | None = None,
        request_id: str = "",
        priority: int = 0,
    ) -> dict[str, npt.NDArray[Any]]:
        """Runs a model on a batch of rows, redoing it elsewhere if a replica fails. Cancelling cancels the call.

        Args:
            model: its name in the repository.
            inputs: float32 or int64 arrays, each with the batch dimension first.
            timeout_s: time the caller has left, for all attempts together; None = as long as the attempts take.
            request_id: goes into Triton's log.
            priority: of Triton's queue: 1 is served first, 3 last, 0 by the model's default.

        Returns:
            The outputs, read-only, with the batch dimension first.

        Raises:
            ValueError: the inputs are not a batch.
            UnavailableError: NO_REPLICA; none is ready, or those tried went away.
            OverloadedError: QUEUE_FULL; every replica's queue is.
            InternalError: MODEL_FAILED; the model fails on these inputs, or returns NaN or another number of rows.
            DeadlineExceededError: `timeout_s` passed.
        """
        batch_rows(inputs)
        now = asyncio.get_running_loop().time
        deadline = now() + timeout_s if timeout_s is not None else float("inf")
        tried: set[Replica] = set()
        causes: collections.Counter[Cause] = collections.Counter()
        while True:
            replica = await self._choose(model, tried, deadline, backoff_s=_BACKOFF_S * 2 ** causes.total() / 2)
            limit_s = min(self._step_timeout_s, deadline - now())
            if limit_s <= 0:
                raise _too_late(model)
            try:
                outputs = await self._attempt(replica, model, inputs, limit_s, request_id, priority)
            except CallFailed as failure:
                if failure.cause is Cause.TIMEOUT and limit_s < self._step_timeout_s:
                    # The caller ran out of time before the replica did: that says nothing about the replica.
                    raise _too_late(model) from None
                self._judge(replica, model, failure, request_id)
                tried.add(replica)
                causes[failure.cause] += 1
                treatment = TREATMENTS[failure.cause]
                if causes[failure.cause] >= treatment.attempts or causes.total() >= _MAX_ATTEMPTS:
                    retry_after_s = None if treatment.reason is Reason.MODEL_FAILED else _RETRY_AFTER_S
                    message = treatment.message.format(model=model)
                    raise error(treatment.reason, message, retry_after_s=retry_after_s) from None
            else:
                self._health.remember(model, inputs)
                return outputs

    async def _attempt(
        self,
        replica: Replica,
        model: str,
        inputs: Mapping[str, npt.NDArray[Any]],
        limit_s: float,
        request_id: str,
        priority: int,
    ) -> dict[str, npt.NDArray[Any]]:
        replica.last_used = next(self._clock)
        now = asyncio.get_running_loop().time
        began, outcome = now(), "cancelled"
        try:
            with span(model, call=True, replica=replica.address, rows=batch_rows(inputs)):
                outputs = await replica.infer(
                    *(model, inputs),
                    timeout_s=limit_s,
                    request_id=request_id,
                    priority=priority,
                    expected=self._health.outputs(model),
                )
            outcome = "ok"
        except CallFailed as failure:
            outcome = failure.cause.value
            raise
        finally:
            if self._observer is not None:
                self._observer.on_call(model, replica.address, batch_rows(inputs), now() - began, outcome)
        return outputs

    async def _choose(self, model: str, tried: set[Replica], deadline: float, *, backoff_s: float) -> Replica:
        """Returns the least loaded replica, rather one that is not tried; waits while there is none."""
        loop = asyncio.get_running_loop()
        give_up = min(loop.time() + self._patience_s, deadline)
        while True:
            usable = self._fleet.usable(model)
            fresh = [replica for replica in usable if replica not in tried]
            if usable and not fresh:
                await asyncio.sleep(min(backoff_s, max(0.0, give_up - loop.time())))
                # What is usable may have changed meanwhile, but then the change is as good as the wait.
                fresh = [replica for replica in usable if replica.standing is not Standing.OUT]
            if fresh:
                return least_loaded(fresh)
            if loop.time() >= deadline:
                raise _too_late(model)
            if loop.time() >= give_up or self._closed:
                message = TREATMENTS[Cause.GONE].message.format(model=model)
                raise error(Reason.NO_REPLICA, message, retry_after_s=_RETRY_AFTER_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(give_up):
                    await self._fleet.wait_change()

    def _judge(self, replica: Replica, model: str, failure: CallFailed, request_id: str) -> None:
        fell = replica.judge(TREATMENTS[failure.cause].verdict, model)
        log.warning(
            "call failed",
            model=model,
            replica=replica.address,
            request_id=request_id,
            cause=failure.cause.value,
            standing=replica.standing.value,
            why=failure.detail,
        )
        if fell:
            self._fleet.changed()

    def _follow(self, addresses: frozenset[str]) -> None:
        """Takes up new addresses, and lets go of those that are gone once their calls have ended."""
        for address in addresses - self._fleet.replicas.keys():
            replica = Replica(address, self._max_message_bytes, self._wire, shared=self._sharing.covers(address))
            self._fleet.replicas[address] = replica
            self._watches[address] = asyncio.create_task(self._health.watch(replica))
        for address in self._fleet.replicas.keys() - addresses:
            log.info("replica gone from the name", replica=address)
            self._watches.pop(address).cancel()
            self._spawn(self._fleet.replicas.pop(address).close())

    async def _follow_names(self) -> None:
        while True:
            await self._endpoints.wait_change(self._resolve_interval_s)
            self._follow(await self._endpoints.addresses())

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _too_late(model: str) -> BackdropError:
    return error(Reason.DEADLINE_EXCEEDED, f"The deadline passed while model {model} ran or waited.")

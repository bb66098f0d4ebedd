"""A pool of Triton replicas that behaves like one reliable server.

Every call goes to the ready replica with the fewest rows outstanding. When it fails, its cause says whether another
attempt makes sense, and what follows for the replica. Calls are stateless towards Triton, so any replica that serves
the model can redo any call: a lost replica costs the step that ran on it, and nothing else.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy.typing as npt
import structlog

from backdrop.errors import Reason, error
from orchestrator.telemetry import span
from orchestrator.telemetry.foreign import quoted
from orchestrator.triton.causes import TREATMENTS, CallFailed, Cause
from orchestrator.triton.endpoints import Endpoints
from orchestrator.triton.fleet import Fleet, least_loaded
from orchestrator.triton.health import Health, other_model
from orchestrator.triton.membership import Membership
from orchestrator.triton.replica import Replica, Standing
from orchestrator.triton.shared_memory import Sharing
from orchestrator.triton.tensors import ModelMetadata, batch_rows
from orchestrator.triton.wire import Wire

log = structlog.get_logger("orchestrator.triton")

_MAX_ATTEMPTS = 5
_BACKOFF_S = 0.05
_METADATA_TIMEOUT_S = 5.0
# A proving inference is one row: it needs no more, even where a step may take longer.
_MAX_PROOF_TIMEOUT_S = 5.0
_RETRY_AFTER_S = 1.0


class CallObserver(Protocol):
    """Is told of every attempt and of replicas that leave; `outcome` is "ok", "cancelled" or a `Cause`."""

    def on_call(self, model: str, replica: str, rows: int, seconds: float, outcome: str) -> None: ...

    def on_gone(self, replica: str) -> None: ...


@dataclasses.dataclass(frozen=True)
class PoolOptions:
    """Times of a pool, in seconds."""

    step_timeout_s: float = 30
    """For one attempt of one call."""
    probe_interval_s: float = 0.4
    """Between two probes of a replica."""
    probe_timeout_s: float = 0.6
    """Within which a replica in service must say that it is ready. With the interval, a hung one is out in 1.6 s."""
    patience_s: float = 10
    """How long a call waits for a replica to become ready."""
    resolve_interval_s: float = 5
    """Between two look-ups of a DNS endpoint."""


class TritonPool:
    """Inference on whichever replica can do it.

    Args:
        endpoints: "host:port" of a replica each, "dns:///host:port" for every address of a name, or
            "kubernetes:///service.namespace:port" for every ready pod of a Service.
        options: time limits and intervals.
        observer: is told of every attempt.
        wire: lays out what is sent; the pool closes it.
        sharing: which replicas may be referred to the wire's region.

    Raises:
        ValueError: there is no endpoint, or one is not well formed.
    """

    def __init__(
        self,
        endpoints: Sequence[str],
        options: PoolOptions | None = None,
        *,
        observer: CallObserver | None = None,
        wire: Wire | None = None,
        sharing: Sharing = Sharing.OFF,
    ) -> None:
        self._options = options or PoolOptions()
        self._observer = observer
        self._wire = wire or Wire()
        self._fleet = Fleet()
        self._clock = itertools.count(1)
        self._closed = False
        self._health = Health(
            interval_s=self._options.probe_interval_s,
            timeout_s=self._options.probe_timeout_s,
            infer_timeout_s=min(_MAX_PROOF_TIMEOUT_S, self._options.step_timeout_s),
            dispensable=self._fleet.can_do_without,
            changed=self._fleet.changed,
        )
        self._membership = Membership(
            self._fleet,
            Endpoints(endpoints),
            self._health,
            lambda address: Replica(address, self._wire, shared=sharing.covers(address)),
            self._options.resolve_interval_s,
            observer.on_gone if observer else lambda replica: None,
        )

    async def start(self) -> None:
        """Connects and probes each replica once. Returns soon even if none answers: probing goes on."""
        await self._membership.start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2 * self._options.probe_timeout_s):
                for replica in list(self._fleet.replicas.values()):
                    await replica.probed.wait()

    async def close(self) -> None:
        """Stops probing and closes the channels; calls in flight fail."""
        self._closed = True
        self._fleet.changed()
        await self._membership.close()
        self._wire.close()

    @property
    def ready_replicas(self) -> int:
        """Number of replicas in service; once models were asked for, of the model that has fewest."""
        return self._fleet.scarcest(self._health.models)

    @property
    def named_replicas(self) -> int:
        """Number of replicas that the endpoints name, ready or not."""
        return len(self._fleet.replicas)

    def usable_replicas(self, model: str) -> frozenset[str]:
        """Addresses of the replicas that a call of the model may go to now."""
        return frozenset(replica.address for replica in self._fleet.usable(model))

    def max_batch_rows(self, model: str) -> int:
        """Rows that a batch of the model may have; 1 while its metadata was not asked for."""
        return self._health.max_batch_rows(model)

    async def metadata(self, model: str, fingerprint: str = "") -> ModelMetadata:
        """Returns what the ready replicas say of a model, and learns which of them serve it.

        From then on, replicas that serve another fingerprint under that name are not used.

        Args:
            model: its name in the repository.
            fingerprint: the expected one; "" = that of the first answer. If no replica has the expected one, another
                answer is returned, and no replica is excluded.

        Raises:
            UnavailableError: no replica is ready, or none serves the model; at once, without waiting.
        """
        ready = self._fleet.ready()
        results = await asyncio.gather(*(self._ask(replica, model) for replica in ready))
        answers = {replica: answer for replica, answer in zip(ready, results, strict=True) if answer is not None}
        if not answers:
            raise error(Reason.NO_REPLICA, TREATMENTS[Cause.GONE].message.format(model=model))
        first = next(iter(answers.values()))
        chosen = next((answer for answer in answers.values() if answer.fingerprint == fingerprint), first)
        if chosen.fingerprint == (fingerprint or chosen.fingerprint):
            self._health.accept(chosen)
            for replica, answer in answers.items():
                if answer.fingerprint != chosen.fingerprint:
                    self._health.doubt(replica, other_model(answer))
        return chosen

    async def _ask(self, replica: Replica, model: str) -> ModelMetadata | None:
        try:
            return await self._health.ask(replica, model, _METADATA_TIMEOUT_S)
        except CallFailed as failure:
            log.warning("no metadata", model=model, replica=replica.address, why=quoted(failure.detail))
            return None

    async def infer(
        self, model: str, inputs: Mapping[str, npt.NDArray[Any]], *, request_id: str = "", priority: int = 0
    ) -> dict[str, npt.NDArray[Any]]:
        """Runs a model on a batch of rows, redoing it elsewhere if a replica fails. Cancelling gives up the answer.

        Args:
            model: its name in the repository.
            inputs: float32 or int64 arrays, each with the batch dimension first.
            request_id: goes into Triton's log.
            priority: of Triton's queue: 1 is served first, 3 last, 0 by the model's default.

        Returns:
            The outputs, read-only, with the batch dimension first.

        Raises:
            ValueError: the inputs are not a batch.
            UnavailableError: NO_REPLICA; none is ready, or those tried went away.
            OverloadedError: QUEUE_FULL; every replica's queue is.
            InternalError: MODEL_FAILED; the model fails on these inputs, or returns NaN or another number of rows.
        """
        batch_rows(inputs)
        tried: set[Replica] = set()
        causes: collections.Counter[Cause] = collections.Counter()
        while True:
            replica = await self._choose(model, tried, backoff_s=_BACKOFF_S * 2 ** causes.total() / 2)
            try:
                outputs = await self._attempt(replica, model, inputs, request_id, priority)
            except CallFailed as failure:
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
        request_id: str,
        priority: int,
    ) -> dict[str, npt.NDArray[Any]]:
        replica.last_used = next(self._clock)
        now = asyncio.get_running_loop().time
        began, outcome = now(), "cancelled"
        try:
            with span(model, call=True, replica=replica.address, rows=batch_rows(inputs)):
                outputs = await replica.infer(
                    model,
                    inputs,
                    timeout_s=self._options.step_timeout_s,
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

    async def _choose(self, model: str, tried: set[Replica], *, backoff_s: float) -> Replica:
        """Returns the least loaded replica, one that was not tried if possible; waits while there is none."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + self._options.patience_s
        while True:
            usable = self._fleet.usable(model)
            candidates = [replica for replica in usable if replica not in tried]
            if usable and not candidates:
                await asyncio.sleep(min(backoff_s, max(0.0, give_up - loop.time())))
                # If the usable replicas changed meanwhile, that is as good a reason to try as the wait.
                candidates = [replica for replica in usable if replica.standing is not Standing.OUT]
            if candidates:
                return least_loaded(candidates)
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
            why=quoted(failure.detail),
        )
        if fell:
            self._fleet.changed()

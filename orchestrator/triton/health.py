"""Probes replicas: those in service must answer, and those that failed must prove themselves before they are used.

"Ready" is not enough. A server whose Python stub died says that it is ready and fails every call, and one that is
stopped by a signal holds its connections open. So a replica in service must answer within the probe's timeout, and one
that failed a model must first run that model, on the first row that the model ever ran here. A replica may serve a part
of the models; those that it lacks are asked for again from time to time, since models can be loaded while it runs.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Iterable

import structlog

from orchestrator.telemetry.foreign import quoted
from orchestrator.triton.causes import CallFailed, Cause
from orchestrator.triton.replica import Replica, Standing
from orchestrator.triton.tensors import Arrays, ModelMetadata

log = structlog.get_logger("orchestrator.triton")


class Health:
    """The probes of every replica, and what they have shown about models.

    Args:
        interval_s: between two probes of a replica.
        timeout_s: for one readiness probe. A replica in service that does not answer twice in a row is ejected, so a
            hung one leaves within interval + 2 × timeout.
        infer_timeout_s: for one proving inference.
        dispensable: whether other ready replicas serve every model that this one serves.
        changed: called after a replica's standing changed.
    """

    def __init__(
        self,
        *,
        interval_s: float,
        timeout_s: float,
        infer_timeout_s: float,
        dispensable: Callable[[Replica], bool],
        changed: Callable[[], None],
    ) -> None:
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._infer_timeout_s = infer_timeout_s
        self._dispensable = dispensable
        self._changed = changed
        self._samples: dict[str, Arrays] = {}
        self._accepted: dict[str, ModelMetadata] = {}

    def remember(self, model: str, inputs: Arrays) -> None:
        """Keeps the first row of the first successful call of a model: later proofs run it."""
        if model not in self._samples:
            self._samples[model] = {name: array[:1].copy() for name, array in inputs.items()}

    def accept(self, metadata: ModelMetadata) -> None:
        """Fixes the metadata of a model; a replica that serves another fingerprint under its name stays out."""
        self._accepted[metadata.name] = metadata

    @property
    def models(self) -> Collection[str]:
        """The models that were accepted so far."""
        return self._accepted.keys()

    async def ask(self, replica: Replica, model: str, timeout_s: float) -> ModelMetadata | None:
        """The metadata of a model on a replica; None if the replica lacks it, which is remembered.

        Raises:
            CallFailed: it gave no answer.
        """
        try:
            metadata = await replica.metadata(model, timeout_s)
        except CallFailed as failure:
            if failure.cause is not Cause.NO_MODEL:
                raise
            replica.lacks.pop(model, None)
            replica.lacks[model] = None
            return None
        if model in replica.lacks:
            del replica.lacks[model]
            self._changed()
        return metadata

    def doubt(self, replica: Replica, problem: str) -> None:
        """Ejects a replica that serves another model than the accepted one."""
        self._out(replica, CallFailed(Cause.NO_MODEL, problem))

    def outputs(self, model: str) -> Iterable[str]:
        """The output names of a model; empty while its metadata was not asked for."""
        metadata = self._accepted.get(model)
        return [spec.name for spec in metadata.outputs] if metadata else []

    def max_batch_rows(self, model: str) -> int:
        """The largest batch of a model; 1 while its metadata was not asked for."""
        metadata = self._accepted.get(model)
        return max(1, metadata.max_batch_size) if metadata else 1

    async def watch(self, replica: Replica) -> None:
        """Probes a replica until cancelled."""
        while True:
            replica.wake.clear()
            failures = replica.failures
            try:
                await self._prove(replica)
            except CallFailed as failure:
                self._out(replica, failure)
            else:
                if failures == replica.failures:
                    self._back(replica)
            replica.probed.set()
            # A failed call asks for a probe at once, unless probes are failing already.
            wait_for_wake = replica.standing is not Standing.OUT
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._interval_s):
                    await (replica.wake.wait() if wait_for_wake else asyncio.sleep(self._interval_s))

    async def _prove(self, replica: Replica) -> None:
        await self._answers(replica)
        if replica.standing is Standing.READY:
            # One model for each probe: few replicas lack many, and a model that was loaded may be noticed later.
            await self._expect_accepted(replica, list(replica.lacks)[:1])
            return
        await self._expect_accepted(replica, list(self._accepted))
        for model in sorted(replica.doubts & self._samples.keys() - replica.lacks.keys()):
            await replica.infer(
                model,
                self._samples[model],
                timeout_s=self._infer_timeout_s,
                request_id="probe",
                expected=self.outputs(model),
            )

    async def _expect_accepted(self, replica: Replica, models: Iterable[str]) -> None:
        for model in models:
            served, accepted = await self.ask(replica, model, self._infer_timeout_s), self._accepted.get(model)
            if served and accepted and served.fingerprint != accepted.fingerprint:
                raise CallFailed(Cause.NO_MODEL, other_model(served))

    async def _answers(self, replica: Replica) -> None:
        try:
            await replica.check_ready(self._timeout_s)
        except CallFailed as failure:
            if failure.cause is not Cause.TIMEOUT:
                raise
            # One missed probe may be a busy machine; not our loop, since gRPC's own thread keeps the deadline.
            try:
                await replica.check_ready(self._timeout_s)
            except CallFailed as again:
                raise CallFailed(Cause.HUNG, again.detail) from None

    def _out(self, replica: Replica, failure: CallFailed) -> None:
        if replica.cause is not failure.cause:
            # One line for each cause, not for each probe.
            log.warning("replica out", replica=replica.address, cause=failure.cause.value, why=quoted(failure.detail))
            replica.cause = failure.cause
        if replica.standing is not Standing.OUT:
            replica.standing = Standing.OUT
            self._changed()
        if failure.cause is Cause.HUNG and self._dispensable(replica):
            # Another replica can redo its calls. Without one, a late answer is better than none.
            replica.abandon()

    def _back(self, replica: Replica) -> None:
        replica.doubts.clear()
        replica.cause = None
        if replica.standing is not Standing.READY:
            log.info("replica ready", replica=replica.address)
            replica.standing = Standing.READY
            self._changed()


def other_model(served: ModelMetadata) -> str:
    """For the log: which model a replica serves instead of the accepted one."""
    return f"serves another {served.name}: {served.fingerprint or 'no fingerprint'}"

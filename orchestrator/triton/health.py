"""Keeps the pool's opinion of each replica true: probes those in service, and proves those that come back.

"Ready" is not enough. A server whose Python stub died says that it is ready and fails every call, and one that is
stopped by a signal holds its connections open. So a replica in service must answer within a moment, and one that
failed a model must first run that model: on the first row that the model ever ran here. Nor does every replica serve
every model: what one lacks it is asked for again now and then, since models can be loaded while it runs.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Iterable

import structlog

from orchestrator.triton.causes import CallFailed, Cause
from orchestrator.triton.replica import Replica, Standing
from orchestrator.triton.tensors import Arrays, ModelMetadata

log = structlog.get_logger("orchestrator.triton")


class Health:
    """What a replica must show, and the loop that asks it to.

    Args:
        interval_s: between two probes of a replica.
        timeout_s: for one readiness probe. A replica in service that twice does not answer in time is ejected, so
            a hung one leaves within interval + 2 × timeout.
        infer_timeout_s: for one proving inference.
        dispensable: whether other ready replicas serve everything that the given one serves.
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
        """Keeps the first row of a call that went well, to prove replicas with."""
        if model not in self._samples:
            self._samples[model] = {name: array[:1].copy() for name, array in inputs.items()}

    def accept(self, metadata: ModelMetadata) -> None:
        """Keeps what a model is like; a replica that serves another one under its name stays out."""
        self._accepted[metadata.name] = metadata

    @property
    def models(self) -> Collection[str]:
        """The models that were accepted so far."""
        return self._accepted.keys()

    async def ask(self, replica: Replica, model: str, timeout_s: float) -> ModelMetadata | None:
        """What a replica says of a model; None, and remembered, when it does not serve it.

        Raises:
            CallFailed: it gave no answer.
        """
        try:
            found = await replica.metadata(model, timeout_s)
        except CallFailed as failure:
            if failure.cause is not Cause.NO_MODEL:
                raise
            replica.lacks.pop(model, None)
            replica.lacks[model] = None
            return None
        if model in replica.lacks:
            del replica.lacks[model]
            self._changed()
        return found

    def doubt(self, replica: Replica, problem: str) -> None:
        """Takes a replica out that serves something else than was accepted."""
        self._out(replica, CallFailed(Cause.NO_MODEL, problem))

    def outputs(self, model: str) -> Iterable[str]:
        """The output names that a model is known to have; none when its metadata was never asked for."""
        metadata = self._accepted.get(model)
        return [spec.name for spec in metadata.outputs] if metadata else []

    def max_batch_rows(self, model: str) -> int:
        """The largest batch that a model is known to take; 1 when its metadata was never asked for."""
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
            # One a probe: few replicas lack many models, and none of them is in a hurry.
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
            found, accepted = await self.ask(replica, model, self._infer_timeout_s), self._accepted.get(model)
            if found and accepted and found.fingerprint != accepted.fingerprint:
                raise CallFailed(Cause.NO_MODEL, another(found))

    async def _answers(self, replica: Replica) -> None:
        try:
            await replica.check_ready(self._timeout_s)
        except CallFailed as failure:
            if failure.cause is not Cause.TIMEOUT:
                raise
            # Once may be a busy machine. Deadlines are kept by gRPC's own thread, so our loop is not to blame.
            try:
                await replica.check_ready(self._timeout_s)
            except CallFailed as again:
                raise CallFailed(Cause.HUNG, again.detail) from None

    def _out(self, replica: Replica, failure: CallFailed) -> None:
        if replica.cause is not failure.cause:
            # Once for each cause, not at every probe: an outage is one line, and so is what it turns into.
            log.warning("replica out", replica=replica.address, cause=failure.cause.value, why=failure.detail)
            replica.cause = failure.cause
        if replica.standing is not Standing.OUT:
            replica.standing = Standing.OUT
            self._changed()
        if failure.cause is Cause.HUNG and self._dispensable(replica):
            # Nobody else to ask: then a late answer is better than none.
            replica.abandon()

    def _back(self, replica: Replica) -> None:
        replica.doubts.clear()
        replica.cause = None
        if replica.standing is not Standing.READY:
            log.info("replica ready", replica=replica.address)
            replica.standing = Standing.READY
            self._changed()


def another(found: ModelMetadata) -> str:
    """What the log says of a replica that serves something else than was accepted."""
    return f"serves another {found.name}: {found.fingerprint or 'no fingerprint'}"

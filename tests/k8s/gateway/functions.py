"""Orchestrators over function models, in this process: what a gateway sees of them is real, and no step takes time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from orchestrator.api.cold_start import ColdStart
from orchestrator.api.idempotency import Idempotency
from orchestrator.api.info import describe_server, describer
from orchestrator.api.parse import Parser
from orchestrator.api.server import Server
from orchestrator.api.service import Service
from orchestrator.cache import TwoTierCache
from orchestrator.cache.leases import Leases
from orchestrator.pipeline import Pipeline
from orchestrator.scheduling import Batcher
from orchestrator.scheduling.admission import Admission, Limits
from orchestrator.stages.frames import PixelMemory
from orchestrator.telemetry.metrics import Metrics
from tests.orchestrator.small import FunctionModels, capacity, server_settings, tokenizers


class Orchestrator:
    """A server whose denoiser answers after `step_s`."""

    def __init__(self, folder: Path, step_s: float, cold: ColdStart | None = None) -> None:
        self._step_s = step_s
        settings = server_settings(folder)
        repository, prompts = tokenizers(folder)
        models, self.admission, self._cache = FunctionModels(), Admission(Limits(8, 64)), TwoTierCache(None)
        models.before = self._take
        service = Service(Metrics(), cold=cold)
        self.server = Server(settings, service)
        batcher = Batcher(models, lambda model: capacity(4, 16))
        pipeline = Pipeline(
            *(batcher, self._cache, prompts, self.admission, PixelMemory(16.0)), max_buffered_events=1000
        )
        described = describe_server(settings, repository)
        idempotency = Idempotency(self._cache.results, Leases(self._cache.redis), 60)
        service.open(Parser(described, repository, prompts), pipeline, idempotency, describer(described, lambda: 1))

    @property
    def endpoint(self) -> str:
        """Its host:port."""
        return f"127.0.0.1:{self.server.port}"

    async def _take(self, model: str) -> None:
        if model == "denoiser":
            await asyncio.sleep(self._step_s)

    async def drain(self) -> None:
        """What the orchestrator does on SIGTERM."""
        await self.server.stop(self.admission, 60.0)

    async def close(self) -> None:
        """Ends it."""
        await self.server.stop(self.admission, 0.0)
        await self._cache.close()


@contextlib.asynccontextmanager
async def two(folder: Path, step_s: float) -> AsyncIterator[list[Orchestrator]]:
    """Two ready orchestrators."""
    both = [Orchestrator(folder / str(number), step_s) for number in range(2)]
    try:
        for each in both:
            await each.server.start()
            await each.server.ready()
        yield both
    finally:
        for each in both:
            await each.close()

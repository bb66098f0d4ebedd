"""The arm `backdrop`: the local cluster, reached as callers reach it, through the SDK."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from unittest import mock

from backdrop import AsyncClient
from bench.figures import ROOT
from bench.requests import BenchRequest
from local.cluster import Cluster, Options

REPOSITORY = ROOT / "triton_repo"


class BackdropArm:
    """A cluster of one orchestrator, Redis and some Tritons, with a client.

    Args:
        name: the arm's.
        repository: what Triton serves.
        replicas: how many Tritons.
        settings: the orchestrator's, by the names of its environment variables.
    """

    def __init__(
        self,
        name: str = "backdrop",
        repository: Path = REPOSITORY,
        replicas: int = 1,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self._logs = tempfile.TemporaryDirectory(prefix="backdrop-bench-")
        options = Options(repository, Path(self._logs.name), port=0, triton_replicas=replicas)
        self.cluster = Cluster(options)
        # Children get the launcher's environment; it is how an operator sets these too.
        with mock.patch.dict(os.environ, settings or {}):
            self.cluster.start()
        self.client = AsyncClient(self.cluster.endpoints.orchestrator, retries=0)

    async def generate(self, request: BenchRequest) -> bytes:
        """Returns the finished picture."""
        result = await self.client.generate(request.task, timeout_s=request.timeout_s, **request.options)
        return result.pictures[0].data

    async def close(self) -> None:
        """Stops the cluster."""
        await self.client.close()
        self.cluster.stop()
        self._logs.cleanup()

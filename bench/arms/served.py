"""The arm `backdrop`: the local cluster, reached as callers reach it, through the SDK."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

from backdrop import AsyncClient
from bench.figures import ROOT
from bench.orders import Order
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

    async def generate(self, order: Order) -> bytes:
        """Returns the finished picture."""
        result = await self.client.generate(order.product_file, timeout_s=order.timeout_s, **fields(order))
        return result.pictures[0].data

    async def close(self) -> None:
        """Stops the cluster."""
        await self.client.close()
        self.cluster.stop()
        self._logs.cleanup()


def fields(order: Order) -> dict[str, Any]:
    """The order as the SDK's arguments, the product apart."""
    return {
        "mask": order.mask_file,
        "prompt": order.prompt,
        "seed": order.seed,
        "steps": order.steps,
        "guidance_scale": order.guidance_scale,
        "pipeline": order.pipeline,
    }

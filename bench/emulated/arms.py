"""The arms `backdrop` and `monolith` over emulated engines."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from bench.arms.monolith import MonolithArm
from bench.arms.served import REPOSITORY, BackdropArm
from bench.emulated import repository
from bench.emulated.costs import Cost


class EmulatedBackdrop(BackdropArm):
    """The whole cluster over a number of emulated replicas.

    Args:
        cost: of the denoiser's batches.
        replicas: how many Tritons.
        max_running: most requests that the orchestrator runs side by side.
        settings: more settings of the orchestrator, by the names of its environment variables.
    """

    def __init__(
        self, cost: Cost, replicas: int = 1, max_running: int = 16, settings: Mapping[str, str] | None = None
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="backdrop-emulated-")
        folder = repository.write(REPOSITORY, Path(self._folder.name), cost)
        places = {"BACKDROP_MAX_RUNNING": str(max_running), "BACKDROP_MAX_QUEUED": "1024"}
        super().__init__("backdrop, emulated", folder, replicas, places | dict(settings or {}))

    async def close(self) -> None:
        """Stops the cluster."""
        await super().close()
        self._folder.cleanup()


class EmulatedMonolith(MonolithArm):
    """The monolith over the same cost; pictures are decoded, composited and encoded as everywhere."""

    name: str = "monolith, emulated"

    def __init__(self, cost: Cost) -> None:
        self._models = tempfile.TemporaryDirectory(prefix="backdrop-emulated-")
        folder = repository.write(REPOSITORY, Path(self._models.name), cost)
        parameters = {"models": "bench.emulated.sleeping", "repository": str(folder)}
        super().__init__(parameters | {"base_ms": str(cost.base_ms), "row_ms": str(cost.row_ms)}, max_batch=8)

    async def close(self) -> None:
        """Stops the server."""
        await super().close()
        self._models.cleanup()

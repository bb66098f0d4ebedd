"""The arms `backdrop` and `monolith` over emulated engines."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from bench.arms.monolith import MonolithArm
from bench.arms.served import REPOSITORY, BackdropArm
from bench.emulated import repository
from bench.emulated.costs import OTHERS, Cost

MONOLITH_MODEL = Path(__file__).with_name("monolith_model.py")
# Encode, VAE encoder, VAE decoder, reward: what a lone request waits for besides its steps.
_STAGES_BESIDE = 4


class EmulatedBackdrop(BackdropArm):
    """The whole cluster over a number of emulated replicas.

    Args:
        cost: of the denoiser's batches.
        replicas: how many Tritons.
        max_running: requests that the orchestrator runs side by side.
        settings: more of the orchestrator's, by the names of its environment variables.
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
    """The monolith over the same cost."""

    name: str = "monolith, emulated"

    def __init__(self, cost: Cost) -> None:
        ends_ms = _STAGES_BESIDE * OTHERS.base_ms
        given = {"base_ms": str(cost.base_ms), "row_ms": str(cost.row_ms), "ends_ms": str(ends_ms)}
        super().__init__(MONOLITH_MODEL, given, max_batch=8)

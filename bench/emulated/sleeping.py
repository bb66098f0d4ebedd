"""The emulated engine in the caller's process: answers the emulated monolith's model calls."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.emulated.costs import OTHERS, Cost
from bench.emulated.repository import shrinks, source


class SleepingModels:
    """Runs a batch by sleeping for its cost; answers zeros of the right shapes.

    Args:
        folder: a repository that `repository.write` wrote.
        denoiser: what a batch of the denoiser costs; the other models cost `costs.OTHERS`.
    """

    def __init__(self, folder: Path, denoiser: Cost) -> None:
        document = json.loads((folder / "pipeline.json").read_text())
        spec = document["pipelines"][document["default"]]
        self._roles = {name: role for role, name in spec["components"].items()}
        self._outputs = {name: document["models"][name]["outputs"] for name in self._roles}
        self._factor = int(spec["latents"]["factor"])
        self._denoiser = denoiser

    def run(self, model: str, inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        """Runs a model on a batch of rows."""
        role = self._roles[model]
        rows = inputs[source(role)]
        time.sleep((self._denoiser if role == "denoiser" else OTHERS).seconds(len(rows)))
        outputs = {}
        for output in self._outputs[model]:
            open_sides = output["shape"].count(-1)
            sides = iter(side // shrinks(role, self._factor) for side in rows.shape[rows.ndim - open_sides :])
            shape = [next(sides) if side < 0 else side for side in output["shape"]]
            outputs[output["name"]] = np.zeros((len(rows), *shape), np.float32)
        return outputs


def open_models(parameters: Mapping[str, str]) -> SleepingModels:
    """The models of the emulated monolith, for `monolith_model.py`."""
    cost = Cost(float(parameters["base_ms"]), float(parameters["row_ms"]))
    return SleepingModels(Path(parameters["repository"]), cost)

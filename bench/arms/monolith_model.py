"""The arm `monolith` inside Triton: one Python model that runs whole requests, a batch of them side by side to its end.

Copied into a model folder as `model.py`. The batch is what Triton's dynamic batcher has gathered; a later request waits
until all of it is done. Rows of its requests share every model call, and a request that is done leaves its rows out.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """All models of the repository in one process."""

    def initialize(self, args: dict[str, str]) -> None:
        """Loads the models; the stub has no PYTHONPATH, so the config says where the checkout is.

        The config's `models` is a module whose `open_models` answers model calls, given the config's parameters.
        """
        entries = json.loads(args["model_config"])["parameters"].items()
        parameters = {key: value["string_value"] for key, value in entries}
        sys.path.insert(0, parameters["root"])
        from bench.arms.loop import Loop
        from bench.arms.sessions import BatchGatherer

        models = importlib.import_module(parameters["models"]).open_models(parameters)
        self._loop = Loop(Path(parameters["repository"]), BatchGatherer(models, int(parameters["max_rows"])))
        self._runner = asyncio.Runner()

    def execute(self, requests: list[Any]) -> list[Any]:
        """Runs a batch of requests."""
        messages = [pb_utils.get_input_tensor_by_name(request, "request").as_numpy()[0, 0] for request in requests]
        return [
            pb_utils.InferenceResponse(output_tensors=[pb_utils.Tensor("picture", np.array([[picture]], np.object_))])
            for picture in self._runner.run(self._all(messages))
        ]

    async def _all(self, messages: list[bytes]) -> list[bytes]:
        return list(await asyncio.gather(*(self._loop.generate(message) for message in messages)))

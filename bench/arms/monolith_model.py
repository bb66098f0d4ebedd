"""The arm `monolith` inside Triton: one Python model that runs whole requests, a batch of them abreast to its end.

Copied into a model folder as `model.py`. The batch is what Triton's dynamic batcher has gathered; who comes later waits
until all of it is done. Rows of its requests share every model call, and a request that is done leaves its rows out.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """All models of the repository in one process."""

    def initialize(self, args: dict[str, str]) -> None:
        """Loads what makes the pictures; the stub knows no PYTHONPATH, so the config says where the checkout is."""
        given = {key: value["string_value"] for key, value in json.loads(args["model_config"])["parameters"].items()}
        sys.path.insert(0, given["root"])
        from bench.arms.loop import Loop
        from bench.arms.sessions import Gathering, Runs, Sessions
        from bench.emulated.costs import Cost
        from bench.emulated.sleeping import Sleeping

        repository = Path(given["repository"])
        sessions: Runs
        if "base_ms" in given:
            sessions = Sleeping(repository, Cost(float(given["base_ms"]), float(given["row_ms"])))
        else:
            sessions = Sessions(repository, int(given["threads"]))
        self._loop = Loop(repository, Gathering(sessions, int(given["max_rows"])))
        self._runner = asyncio.Runner()

    def execute(self, requests: list[Any]) -> list[Any]:
        """Makes the pictures of a batch of requests."""
        messages = [pb_utils.get_input_tensor_by_name(request, "request").as_numpy()[0, 0] for request in requests]
        return [
            pb_utils.InferenceResponse(output_tensors=[pb_utils.Tensor("picture", np.array([[made]], np.object_))])
            for made in self._runner.run(self._all(messages))
        ]

    async def _all(self, messages: list[bytes]) -> list[bytes]:
        return list(await asyncio.gather(*(self._loop.generate(message) for message in messages)))

"""An emulated monolith inside Triton: whole requests, a batch of them abreast, every step sleeping as the engine would.

Copied into a model folder as `model.py`. A request that is done leaves its rows out of the following steps.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """One instance: like a GPU, it runs a batch at a time."""

    def initialize(self, args: dict[str, str]) -> None:
        """Reads the config; the stub knows no PYTHONPATH, so it says where the checkout is."""
        given = {key: value["string_value"] for key, value in json.loads(args["model_config"])["parameters"].items()}
        sys.path.insert(0, given["root"])
        from bench.emulated.costs import Cost

        self._step = Cost(float(given["base_ms"]), float(given["row_ms"]))
        self._ends_s = float(given["ends_ms"]) / 1000

    def execute(self, requests: list[Any]) -> list[Any]:
        """Takes the time of the batch: its steps, and once what comes before and after them."""
        from backdrop.v1 import generation_service_pb2 as pb

        messages = [pb_utils.get_input_tensor_by_name(request, "request").as_numpy()[0, 0] for request in requests]
        parsed = [pb.GenerateRequest.FromString(message) for message in messages]
        lengths = [(one.steps, 2 if one.guidance_scale > 1 else 1) for one in parsed]
        time.sleep(self._ends_s)
        for index in range(max(steps for steps, _ in lengths)):
            time.sleep(self._step.seconds(sum(rows for steps, rows in lengths if index < steps)))
        nothing = pb_utils.Tensor("picture", np.array([[b""]], np.object_))
        return [pb_utils.InferenceResponse(output_tensors=[nothing]) for _ in requests]

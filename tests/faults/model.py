"""A model of Triton's Python backend whose answers depend on every value of their row, and that takes a set time.

Copied into model folders as `model.py`. An output is the input `source`, repeated to the output's size, plus the means
of the other inputs. So a picture's bytes show whether every step got what it should, at no processor time to speak of.
"""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """One instance."""

    def initialize(self, args: dict[str, str]) -> None:
        """Reads the config."""
        config = json.loads(args["model_config"])
        parameters = {key: value["string_value"] for key, value in config["parameters"].items()}
        self._base_s, self._row_s = float(parameters["base_ms"]) / 1000, float(parameters["row_ms"]) / 1000
        self._shrink, self._source = int(parameters["shrink"]), parameters["source"]
        self._inputs = [entry["name"] for entry in config["input"]]
        self._outputs = [(entry["name"], [int(side) for side in entry["dims"]]) for entry in config["output"]]

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answers each request by itself, after the time of the batch."""
        batches = [
            {name: pb_utils.get_input_tensor_by_name(request, name).as_numpy() for name in self._inputs}
            for request in requests
        ]
        time.sleep(self._base_s + self._row_s * sum(len(batch[self._source]) for batch in batches))
        return [pb_utils.InferenceResponse(output_tensors=self._answer(batch)) for batch in batches]

    def _answer(self, inputs: dict[str, Any]) -> list[Any]:
        source = inputs[self._source].astype(np.float32)
        if self._source == "input_ids":
            source = source / 1000
        means = sum(
            array.reshape(len(source), -1).astype(np.float64).mean(1)
            for name, array in inputs.items()
            if name != self._source
        )
        tensors = []
        for name, dims in self._outputs:
            sides = iter(side // self._shrink for side in source.shape[len(source.shape) - dims.count(-1) :])
            shape = [next(sides) if side < 0 else side for side in dims]
            rows = np.stack([np.resize(row, shape) for row in source])
            shift = np.broadcast_to(np.asarray(means, np.float32), (len(source),)).reshape(-1, *[1] * len(shape))
            tensors.append(pb_utils.Tensor(name, np.tanh(0.7 * rows + 0.1 * shift).astype(np.float32)))
        return tensors

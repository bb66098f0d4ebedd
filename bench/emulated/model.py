"""An emulated engine inside Triton: sleeps `base_ms + row_ms · rows`, then answers values that mean nothing.

Copied into a model folder as `model.py`. Sleeping costs no processor time, so many replicas fit on two cores. Unknown
sides of an output are the last ones of the input `source`, divided by `shrink` (the VAE's factor).
"""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """One instance: like a GPU, it runs a batch at a time."""

    def initialize(self, args: dict[str, str]) -> None:
        """Reads the config."""
        config = json.loads(args["model_config"])
        given = {key: value["string_value"] for key, value in config["parameters"].items()}
        self._base_s, self._row_s = float(given["base_ms"]) / 1000, float(given["row_ms"]) / 1000
        self._shrink = int(given["shrink"])
        self._source = given["source"]
        self._outputs = [(entry["name"], [int(side) for side in entry["dims"]]) for entry in config["output"]]

    def execute(self, requests: list[Any]) -> list[Any]:
        """Takes the time of the batch."""
        sources = [pb_utils.get_input_tensor_by_name(request, self._source).as_numpy() for request in requests]
        time.sleep(self._base_s + self._row_s * sum(len(source) for source in sources))
        return [pb_utils.InferenceResponse(output_tensors=self._answer(source)) for source in sources]

    def _answer(self, source: Any) -> list[Any]:
        tensors = []
        for name, dims in self._outputs:
            sides = iter(side // self._shrink for side in source.shape[len(source.shape) - dims.count(-1) :])
            shape = [next(sides) if side < 0 else side for side in dims]
            tensors.append(pb_utils.Tensor(name, np.zeros((len(source), *shape), np.float32)))
        return tensors

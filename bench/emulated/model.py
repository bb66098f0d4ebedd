"""An emulated engine inside Triton: sleeps `base_ms + row_ms · rows`, then answers zeros.

Copied into a model folder as `model.py`. Sleeping costs no processor time, so many replicas fit on two cores. Unknown
sides of an output are the last ones of the input `source`, divided by `shrink` (the VAE's factor).

Instances of a model sleep one after another, as batches compute on one device; what a second instance adds is that a
batch is copied to and from the device while another computes, which TensorRT's backend does by itself.
"""

from __future__ import annotations

import fcntl
import json
import os
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
        # Triton starts its stubs in its own working folder, so this is a device of one replica.
        self._device = os.open(f"{config['name']}.device", os.O_CREAT | os.O_RDWR)
        self._shrink = int(parameters["shrink"])
        self._source = parameters["source"]
        self._outputs = [(entry["name"], [int(side) for side in entry["dims"]]) for entry in config["output"]]

    def execute(self, requests: list[Any]) -> list[Any]:
        """Takes the time of the batch."""
        sources = [pb_utils.get_input_tensor_by_name(request, self._source).as_numpy() for request in requests]
        fcntl.flock(self._device, fcntl.LOCK_EX)
        time.sleep(self._base_s + self._row_s * sum(len(source) for source in sources))
        fcntl.flock(self._device, fcntl.LOCK_UN)
        return [pb_utils.InferenceResponse(output_tensors=self._answer(source)) for source in sources]

    def _answer(self, source: Any) -> list[Any]:
        tensors = []
        for name, dims in self._outputs:
            sides = iter(side // self._shrink for side in source.shape[len(source.shape) - dims.count(-1) :])
            shape = [next(sides) if side < 0 else side for side in dims]
            tensors.append(pb_utils.Tensor(name, np.zeros((len(source), *shape), np.float32)))
        return tensors

"""Random rows for single models, by the tensors that pipeline.json lists; and single calls to Triton."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from tritonclient.grpc import InferInput
from tritonclient.grpc.aio import InferenceServerClient

Arrays = dict[str, npt.NDArray[Any]]
# The length of an unknown side at 256 × 256 pixels, by the number of channels before it.
_SIDES = {3: 256, 4: 32}
_TOKENS = 77


def random_rows(entry: Mapping[str, Any], rows: int, seed: int) -> Arrays:
    """Inputs [rows, …] of a model by its entry in pipeline.json; no two rows at the same timestep.

    A mask has the size of the picture among the inputs; without one, of the latents.
    """
    rng = np.random.default_rng(seed)
    names = [spec["name"] for spec in entry["inputs"]]
    mask_side = 256 if "image" in names else 32
    arrays: Arrays = {}
    for spec in entry["inputs"]:
        channels = spec["shape"][0]
        side = mask_side if spec["name"] == "mask" else _SIDES.get(channels, _TOKENS)
        shape = (rows, *(side if length < 0 else length for length in spec["shape"]))
        if spec["dtype"] == "INT64":
            arrays[spec["name"]] = rng.integers(0, 100 if channels < 0 else 1, shape)
        elif spec["name"] == "timestep":
            arrays["timestep"] = rng.permutation(999)[:rows, None].astype(np.float32)
        elif spec["name"] == "time_ids":
            arrays["time_ids"] = np.tile(np.array([256, 256, 0, 0, 256, 256], np.float32), (rows, 1))
        elif spec["name"] == "mask":
            arrays["mask"] = (rng.random(shape) > 0.5).astype(np.float32)
        else:
            arrays[spec["name"]] = rng.standard_normal(shape).astype(np.float32)
    return arrays


async def infer(client: InferenceServerClient, model: str, inputs: Arrays, output: str) -> npt.NDArray[Any]:
    """One output of a model for a batch of rows."""
    tensors = []
    for name, value in inputs.items():
        tensor = InferInput(name, list(value.shape), "INT64" if value.dtype == np.int64 else "FP32")
        tensor.set_data_from_numpy(value)
        tensors.append(tensor)
    answer: npt.NDArray[Any] = (await client.infer(model, tensors)).as_numpy(output)
    return answer

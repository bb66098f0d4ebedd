"""What runs the components of a rehearsal: torch modules from the weights folders, or exported graphs."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from export.lowering import UNRUNNABLE, lower
from export.plan import Model
from export.precision import Precision
from export.rehearsal.scene import Array, Tensors
from export.rehearsal.walk import Runner
from export.running import session, torch_outputs
from export.torch_model import open_model

NUMPY = {"FP32": np.float32, "INT64": np.int64}


class TorchRunner:
    """A model's module, its weights rounded as they are stored."""

    def __init__(self, model: Model, precision: Precision = "fp32") -> None:
        self._prepared = lower(open_model(model).prepared, precision)

    def __call__(self, inputs: Mapping[str, Array]) -> Tensors:
        """Runs it.

        Raises:
            KeyError: if it takes something that the walk does not give.
        """
        prepared = self._prepared
        arrays = [np.ascontiguousarray(inputs[spec.name], NUMPY[spec.dtype]) for spec in prepared.inputs]
        outputs = torch_outputs(prepared.module, tuple(torch.from_numpy(value) for value in arrays))
        return {spec.name: value for spec, value in zip(prepared.outputs, outputs, strict=True)}


class GraphRunner:
    """A model's graph as it is served."""

    def __init__(self, graph: Path) -> None:
        self._session = session(graph)
        self._inputs = [spec.name for spec in self._session.get_inputs()]
        self._outputs = [spec.name for spec in self._session.get_outputs()]

    def __call__(self, inputs: Mapping[str, Array]) -> Tensors:
        """Runs it; rows name no adapter, since the reference has none."""
        rows = len(next(iter(inputs.values())))
        none = {"adapter": np.zeros((rows, 1), np.int64), "adapter_scale": np.zeros((rows, 1), np.float32)}
        feed = {name: inputs[name] if name in inputs else none[name] for name in self._inputs}
        return dict(zip(self._outputs, self._session.run(self._outputs, feed), strict=True))


@contextmanager
def opened(load: Callable[[], Runner]) -> Iterator[Runner]:
    """Yields the runner that `load` returns; at the end its memory is freed for the next one."""
    held = [load()]
    try:
        yield held[0]
    finally:
        held.clear()
        gc.collect()


def graph_or_module(model: Model, precision: Precision, graph: Path) -> Runner:
    """A model's graph, or its module in the graph's precision where onnxruntime cannot run that here."""
    return TorchRunner(model, precision) if precision in UNRUNNABLE else GraphRunner(graph)

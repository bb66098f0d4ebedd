"""Runners of a pipeline's components: torch modules from the weights folders, or exported graphs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from export.graph import round_weights
from export.lowering import UNRUNNABLE, lower
from export.models.component import ComponentModule
from export.plan import Model
from export.precision import Precision, Storage
from export.running import session, torch_outputs
from export.torch_model import open_model
from export.walk.runner import Array, Runner, Tensors

NUMPY = {"FP32": np.float32, "INT64": np.int64}


class ModuleRunner:
    """A component's wrapper module in memory."""

    def __init__(self, component: ComponentModule) -> None:
        self._component = component

    def __call__(self, inputs: Mapping[str, Array]) -> Tensors:
        """Runs it.

        Raises:
            KeyError: if it reads an input that the walk does not give.
        """
        component = self._component
        arrays = [np.ascontiguousarray(inputs[spec.name], NUMPY[spec.dtype]) for spec in component.inputs]
        outputs = torch_outputs(component.module, tuple(torch.from_numpy(value) for value in arrays))
        return {spec.name: value for spec, value in zip(component.outputs, outputs, strict=True)}


class GraphRunner:
    """A model's graph as it is served."""

    def __init__(self, graph: Path) -> None:
        self._session = session(graph)
        self._inputs = [spec.name for spec in self._session.get_inputs()]
        shapes = {spec.name: spec.shape for spec in self._session.get_inputs()}
        self._slots = shapes["adapter"][1] if "adapter" in shapes else 0
        self._outputs = [spec.name for spec in self._session.get_outputs()]

    def __call__(self, inputs: Mapping[str, Array]) -> Tensors:
        """Runs it; rows name no adapter, since the torch module has none."""
        rows = len(next(iter(inputs.values())))
        free = (rows, self._slots)
        none = {"adapter": np.zeros(free, np.int64), "adapter_scale": np.zeros(free, np.float32)}
        feed = {name: inputs[name] if name in inputs else none[name] for name in self._inputs}
        return dict(zip(self._outputs, self._session.run(self._outputs, feed), strict=True))


def torch_runner(model: Model, precision: Precision = "fp32", storage: Storage = "source") -> ModuleRunner:
    """A model's module, its weights rounded as they are stored."""
    prepared = open_model(model).prepared
    if storage == "fp16":
        round_weights(prepared.module)
    return ModuleRunner(lower(prepared, precision))


def graph_or_module(model: Model, precision: Precision, storage: Storage, graph: Path) -> Runner:
    """A model's graph, or its module in the graph's precision where onnxruntime cannot run that here."""
    return torch_runner(model, precision, storage) if precision in UNRUNNABLE else GraphRunner(graph)

"""From a torch module to an ONNX file: dynamic sizes, initialisers that point into weights files."""

from __future__ import annotations

import inspect
import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.export import Dim

from export.contract import MAX_ROWS, Axis, Size, TensorSpec
from export.errors import ExportError
from export.external import COMPUTED, Array, is_external, refer
from export.models.component import ComponentModule
from export.report import DiskSizes
from export.stored_files import FP16_MAX, ROUND_FROM, lay_beside
from export.tracing import Told, quickened, untold

OPSET, OPSET_BF16 = 20, 22
"""From 22 on, convolutions and norms may compute in bfloat16."""
EXAMPLE = Size(height=128, width=96, tokens=24)
"""The request that is traced. Its sizes differ from each other, so that no two dynamic axes are taken for one."""
EXAMPLE_ROWS = 2


def _rounds(values: torch.Tensor) -> bool:
    if not values.is_floating_point() or values.numel() < ROUND_FROM or values.abs().max() > FP16_MAX:
        return False
    # Numbers that 16 bits hold already stay: their file is not written again.
    return not any(torch.equal(values, values.to(dtype).float()) for dtype in (torch.float16, torch.bfloat16))


def round_weights(module: nn.Module) -> bool:
    """Rounds every big parameter to the nearest fp16 value, in place; arithmetic stays FP32.

    Done before tracing, so that the module and the files beside the graph hold the same numbers.

    Returns:
        Whether that changed any number.
    """
    changed = False
    with torch.no_grad():
        for parameter in module.parameters():
            if _rounds(parameter):
                parameter.copy_(parameter.half().float())
                changed = True
    return changed


def _dims(specs: tuple[TensorSpec, ...]) -> list[dict[int, object]]:
    """torch.export's dynamic shapes: named Dims, with tied axes as multiples of one unit."""
    rows = Dim("rows", min=1, max=MAX_ROWS)
    units: dict[str, Dim] = {}
    shapes: list[dict[int, object]] = []
    for spec in specs:
        shape: dict[int, object] = {0: rows}
        for index, axis in enumerate(spec.shape, start=1):
            if isinstance(axis, Axis):
                unit = units.setdefault(axis.name, Dim(axis.name, min=axis.low, max=axis.high))
                shape[index] = axis.multiple * unit if axis.multiple > 1 else unit
        shapes.append(shape)
    return shapes


def _shapes(prepared: ComponentModule) -> Any:
    """The dynamic shapes as torch.export wants them for the module's signature: those of `*inputs` are nested."""
    kinds = [parameter.kind for parameter in inspect.signature(prepared.module.forward).parameters.values()]
    shapes = _dims(prepared.inputs)
    return (tuple(shapes),) if kinds == [inspect.Parameter.VAR_POSITIONAL] else shapes


def opset(module: nn.Module) -> int:
    """The opset for a module's arithmetic."""
    kinds = {parameter.dtype for parameter in module.parameters()}
    return OPSET_BF16 if torch.bfloat16 in kinds else OPSET


@dataclass(frozen=True)
class TracedGraph:
    """A component as ONNX, its larger numbers still where the module has them."""

    model: onnx.ModelProto
    weights: Mapping[str, Array]
    """By the names of initialisers that hold no numbers yet: views of the module's memory, not copies."""


def trace(prepared: ComponentModule, tell: Told = untold) -> TracedGraph:
    """Exports a prepared component to ONNX in memory.

    Args:
        prepared: The component.
        tell: Told the parts of the work.

    Raises:
        ExportError: if torch cannot trace the module with dynamic sizes, or the graph is not valid ONNX.
    """
    inputs = prepared.sample(EXAMPLE_ROWS, EXAMPLE, torch.Generator().manual_seed(0))
    # The exporter announces each pass on stdout's logger and warns of its own internals.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.no_grad(), quickened(tell):
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                prepared.module,
                inputs,
                dynamo=True,
                input_names=[spec.name for spec in prepared.inputs],
                output_names=[spec.name for spec in prepared.outputs],
                dynamic_shapes=_shapes(prepared),
                opset_version=opset(prepared.module),
                verbose=False,
            )
    except Exception as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ExportError(f"{prepared.name}: torch could not trace the module: {reason[0]}") from error
    if program is None:
        raise ExportError(f"{prepared.name}: torch returned no ONNX program.")
    weights = set_apart(program.model)
    model = program.model_proto
    tidy(model)
    return TracedGraph(model, weights)


def set_apart(model: onnx_ir.Model) -> dict[str, Array]:
    """Takes large initialisers out of a graph, in place, so that its message does not hold a copy of them.

    SDXL's UNet is 10 GB in FP32. A message with its weights in it would be as much again, for weights that end up as
    references to the file that they came from.
    """
    weights: dict[str, Array] = {}
    for name, value in model.graph.initializers.items():
        tensor = value.const_value
        if tensor is not None and tensor.size >= ROUND_FROM and int(tensor.dtype) in COMPUTED:
            weights[name] = tensor.numpy()
            value.const_value = onnx_ir.ExternalTensor(
                "", 0, tensor.nbytes, tensor.dtype, shape=onnx_ir.Shape(tensor.shape.numpy()), name=name
            )
    return weights


def tidy(model: onnx.ModelProto) -> None:
    """Drops stack traces, which hold paths of this machine, and other data that only the exporter's debugger reads."""
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    values: list[Any] = [*model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer]
    for value in values:
        del value.metadata_props[:]
        value.doc_string = ""
    del model.graph.metadata_props[:]
    del model.metadata_props[:]
    del model.functions[:]
    # Shapes of intermediate values name the exporter's symbols; every runtime infers its own.
    del model.graph.value_info[:]
    model.doc_string = model.graph.doc_string = ""
    model.graph.name = "main"


def halve_initialisers(model: onnx.ModelProto) -> int:
    """Stores big FP32 initialisers as fp16 with a Cast behind them, where that loses nothing.

    Runtimes fold the Cast when they load the graph, so serving costs no more than with FP32 weights.

    Returns:
        How many initialisers were halved.
    """
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or is_external(tensor):
            continue
        values = numpy_helper.to_array(tensor)
        if values.size < ROUND_FROM or np.abs(values).max() > FP16_MAX:
            continue
        half = values.astype(np.float16)
        # What the exporter computed from several weights is no longer an fp16 number: leave it as it is.
        if not np.array_equal(half.astype(np.float32), values):
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(half, f"{name}.fp16"))
        casts.append(helper.make_node("Cast", [f"{name}.fp16"], [name], name=f"{name}.cast", to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return len(casts)


def write(prepared: ComponentModule, path: Path, files: Mapping[str, Path], tell: Told = untold) -> DiskSizes:
    """Traces a component and writes it to `path`, its weights files beside it.

    Args:
        prepared: The component.
        path: The graph to write.
        files: The component's safetensors files, by the names they get beside the graph.
        tell: Told the parts of the work.

    Raises:
        ExportError: if it cannot be traced, or its inputs and outputs are not those of the contract.
    """
    traced = trace(prepared, tell)
    tell("writing")
    model = traced.model
    expect_names(prepared, model)
    used = refer(model, files, traced.weights)
    halve_initialisers(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    size = lay_beside(model, files, path.parent)
    path.write_bytes(model.SerializeToString(deterministic=True))
    # By path: the checker looks for the files that the graph names.
    onnx.checker.check_model(path)
    return DiskSizes(path.stat().st_size, size, sum(used.values()))


def expect_names(prepared: ComponentModule, model: onnx.ModelProto) -> None:
    """Refuses a graph that lost an input on the way: an input that is never read is a bug of the wrapper."""
    for kind, values, specs in (
        ("inputs", model.graph.input, prepared.inputs),
        ("outputs", model.graph.output, prepared.outputs),
    ):
        names = [value.name for value in values]
        expected = [spec.name for spec in specs]
        if names != expected:
            raise ExportError(f"{prepared.name}: the graph's {kind} are {names}, the contract says {expected}.")

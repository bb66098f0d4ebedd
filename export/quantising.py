"""FP8: a half-precision graph whose matrix products with weights take E4M3 numbers, by scales from real inputs.

Explicit quantisation, as ONNX and TensorRT have it: QuantizeLinear and DequantizeLinear before both sides of a product,
one scale a tensor (Micikevicius et al. 2022, "FP8 formats for deep learning"). TensorRT makes an FP8 product of the
pair; onnxruntime computes with the rounded numbers, so parity shows what the rounding costs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from export.errors import ExportError
from export.running import session

LARGEST = 448.0
"""Of E4M3."""
SMALLEST_SCALE = 2.0**-14
"""fp16's smallest normal number: a tensor of zeros must not be divided by zero."""
MULTIPLE = 16
"""What both sides of a weight are multiples of where FP8 products are fast, or there at all."""
ZERO = "fp8.zero"
PROBE = ".largest"
Calls = Sequence[Mapping[str, Any]]
"""A component's inputs by name, arrays with the batch first."""


def quantise(path: Path, calls: Calls) -> int:
    """Quantises a graph in its place; one that is quantised already stays as it is.

    Products of tokens alone are taken ([B, T, D] by a weight): the embeddings of timestep and size ([B, D]) are a
    thousandth of the work, and every layer reads them.

    Args:
        path: A graph that computes in fp16, the weights it refers to beside it.
        calls: Inputs as a rehearsal has given them.

    Returns:
        How many products were quantised.

    Raises:
        ExportError: if there are no inputs to calibrate by.
    """
    model = onnx.load(path, load_external_data=False)
    if any(node.op_type == "QuantizeLinear" for node in model.graph.node):
        return 0
    products = token_products(model)
    if not products:
        return 0
    if not calls:
        raise ExportError(f"{path.parent.parent.name}: fp8 needs a rehearsal to calibrate its scales; give it --steps.")
    tensors = list(dict.fromkeys(name for node in products for name in node.input))
    largest = calibrate(model, path, tensors, calls)
    rounded = [pair for name in tensors for pair in pair_of(name, largest[name])]
    model.graph.initializer.extend(value for value in rounded if isinstance(value, TensorProto))
    # helper.make_tensor of a scalar: 0 is all bits 0 in E4M3 too.
    model.graph.initializer.append(helper.make_tensor(ZERO, TensorProto.FLOAT8E4M3FN, [], b"\0", raw=True))
    for node in products:
        node.input[:] = [f"{name}.fp8" for name in node.input]
    nodes = sorted_in([node for node in rounded if isinstance(node, NodeProto)], model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    path.write_bytes(model.SerializeToString(deterministic=True))
    onnx.checker.check_model(path)
    return len(products)


def token_products(model: onnx.ModelProto) -> list[NodeProto]:
    """The products of tokens with a constant matrix whose sides FP8 can take."""
    shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    for node in model.graph.node:
        # Between a stored weight and its product there are a Cast and a Transpose at most.
        if node.op_type in ("Cast", "Transpose") and node.input[0] in shapes:
            shape = shapes[node.input[0]]
            shapes[node.output[0]] = shape[::-1] if node.op_type == "Transpose" else shape
    return [
        node
        for node in model.graph.node
        if node.op_type == "MatMul"
        and node.input[0] not in shapes
        and len(shape := shapes.get(node.input[1], ())) == 2
        and not any(side % MULTIPLE for side in shape)
    ]


def calibrate(model: onnx.ModelProto, path: Path, tensors: Iterable[str], calls: Calls) -> dict[str, float]:
    """The largest magnitude of each tensor over all calls."""
    probed = onnx.ModelProto()
    probed.CopyFrom(model)
    names = list(tensors)
    for name in names:
        probed.graph.node.extend(
            (
                # In FP32: onnxruntime has no Abs of half precision on a CPU, and says so for every node.
                helper.make_node("Cast", [name], [f"{name}.wide"], to=TensorProto.FLOAT),
                helper.make_node("Abs", [f"{name}.wide"], [f"{name}.abs"]),
                helper.make_node("ReduceMax", [f"{name}.abs"], [name + PROBE], keepdims=0),
            )
        )
        probed.graph.output.append(helper.make_tensor_value_info(name + PROBE, TensorProto.FLOAT, []))
    # In the graph's own folder: external data is found relative to the file.
    with NamedTemporaryFile(dir=path.parent, suffix=".onnx") as file:
        file.write(probed.SerializeToString())
        file.flush()
        run = session(Path(file.name))
    inputs = [spec.name for spec in run.get_inputs()]
    largest = dict.fromkeys(names, 0.0)
    for call in calls:
        values = run.run([name + PROBE for name in names], {name: call[name] for name in inputs})
        largest = {name: max(largest[name], float(value)) for name, value in zip(names, values, strict=True)}
    return largest


def pair_of(name: str, largest: float) -> tuple[TensorProto | NodeProto, ...]:
    """A tensor's scale, and the two nodes that round it to E4M3."""
    scale = np.float16(max(largest / LARGEST, SMALLEST_SCALE))
    return (
        numpy_helper.from_array(np.asarray(scale), f"{name}.scale"),
        helper.make_node("QuantizeLinear", [name, f"{name}.scale", ZERO], [f"{name}.e4m3"], name=f"{name}.quantise"),
        helper.make_node(
            "DequantizeLinear", [f"{name}.e4m3", f"{name}.scale", ZERO], [f"{name}.fp8"], name=f"{name}.dequantise"
        ),
    )


def sorted_in(added: Sequence[NodeProto], nodes: Iterable[NodeProto]) -> list[NodeProto]:
    """The nodes with the added ones right after what they read: ONNX wants every value before its use."""
    waiting: dict[str, list[NodeProto]] = {}
    for node in added:
        waiting.setdefault(node.input[0], []).append(node)
    computed = {output for node in nodes for output in node.output}
    ordered: list[NodeProto] = []

    def follow(name: str) -> None:
        for node in waiting.get(name, ()):
            ordered.append(node)
            follow(node.output[0])

    for name in waiting:
        if name not in computed and not name.endswith(".e4m3"):
            follow(name)  # an initialiser, or an input of the graph
    for node in nodes:
        ordered.append(node)
        for output in node.output:
            follow(output)
    return ordered

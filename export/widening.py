"""bfloat16 graphs as onnxruntime can run them on a CPU, which has no arithmetic for bfloat16: the same in FP32."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

NARROW, WIDE = TensorProto.BFLOAT16, TensorProto.FLOAT


def widen(model: onnx.ModelProto) -> None:
    """Makes every bfloat16 value of a graph FP32, in place.

    Weights keep the numbers that they have in bfloat16; what is computed from them is no longer rounded. So this shows
    whether the graph is right, and not what its precision costs.
    """
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type == NARROW:
            name = tensor.name
            tensor.name = f"{name}.narrow"
            casts.append(helper.make_node("Cast", [tensor.name], [name], name=f"{name}.widen", to=WIDE))
    for node in model.graph.node:
        widen_node(node)
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def widen_node(node: NodeProto) -> None:
    """Makes what a node says of types and constants FP32."""
    for attribute in node.attribute:
        if attribute.name in ("to", "dtype") and attribute.i == NARROW:
            attribute.i = WIDE
        if attribute.HasField("t") and attribute.t.data_type == NARROW:
            values = numpy_helper.to_array(attribute.t).astype(np.float32)
            attribute.t.CopyFrom(numpy_helper.from_array(values, attribute.t.name))

"""bfloat16 graphs made FP32, so that a CPU can say whether they are right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from ml_dtypes import bfloat16
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

from export import external
from export.running import session, widened_session

WEIGHTS = np.random.default_rng(0).standard_normal((4, 4)).astype(np.float16).astype(np.float32)


def narrow(kind: int, weights: np.ndarray) -> onnx.ModelProto:
    """y = x · weights + 1, computed in a half precision between two casts."""
    one = numpy_helper.from_array(np.ones(1, weights.dtype))
    nodes = [
        helper.make_node("Cast", ["x"], ["h"], to=kind),
        helper.make_node("MatMul", ["h", "fc.weight"], ["p"]),
        helper.make_node("Constant", [], ["one"], value=one),
        helper.make_node("Add", ["p", "one"], ["s"]),
        helper.make_node("Cast", ["s"], ["y"], to=TensorProto.FLOAT),
    ]
    sides = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["b", 4]) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "g", sides[:1], sides[1:], [numpy_helper.from_array(weights, "fc.weight")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)


def written(model: onnx.ModelProto, folder: Path, stored: np.ndarray | None = None) -> Path:
    """Writes a graph, its weights in a file beside it if they are given as they are stored."""
    if stored is not None:
        save_file({"fc.weight": stored}, folder / "weights.safetensors")
        used = external.refer(model, {"weights.safetensors": folder / "weights.safetensors"})
        assert used == {"weights.safetensors": stored.nbytes}
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    return folder / "model.onnx"


def answer(path: Path, *, widened: bool) -> np.ndarray:
    """The graph's answer to a batch of two."""
    x = np.random.default_rng(1).standard_normal((2, 4)).astype(np.float32)
    (outputs,) = (widened_session if widened else session)(path).run(None, {"x": x})
    exact = x @ WEIGHTS + 1
    assert outputs.dtype == np.float32
    assert np.abs(outputs - exact).max() < 5e-2
    difference: np.ndarray = np.abs(outputs - exact)
    return difference


@pytest.mark.parametrize("stored", [None, np.float32, np.float16])
def test_a_bfloat16_graph_runs_in_fp32_on_its_own_weights(stored: type | None, tmp_path: Path) -> None:
    model = narrow(TensorProto.BFLOAT16, WEIGHTS.astype(bfloat16))
    path = written(model, tmp_path, None if stored is None else WEIGHTS.astype(stored))
    assert answer(path, widened=True).max() < 5e-2
    assert sorted(entry.name for entry in tmp_path.iterdir() if entry.suffix == ".onnx") == ["model.onnx"]


@pytest.mark.parametrize("stored", [None, np.float32, np.float16])
def test_an_fp16_graph_reads_weights_of_either_kind(stored: type | None, tmp_path: Path) -> None:
    model = narrow(TensorProto.FLOAT16, WEIGHTS.astype(np.float16))
    path = written(model, tmp_path, None if stored is None else WEIGHTS.astype(stored))
    casts = [node for node in model.graph.node if node.op_type == "Cast"]
    # fp16 weights are read as they lie there; FP32 ones are rounded behind the reference.
    assert len(casts) == 2 + (stored is np.float32)
    assert answer(path, widened=False).max() < 1e-2


def test_other_numbers_are_not_taken_for_rounded_ones(tmp_path: Path) -> None:
    model = narrow(TensorProto.FLOAT16, WEIGHTS.astype(np.float16))
    save_file({"fc.weight": WEIGHTS * 1.01}, tmp_path / "weights.safetensors")
    assert external.refer(model, {"weights.safetensors": tmp_path / "weights.safetensors"}) == {}

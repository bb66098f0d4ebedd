"""Graphs whose weights are safetensors files: what is referred to, byte for byte, and what it computes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

from export import external
from export.models import COMPONENTS
from export.running import session
from tests.export import tiny

WIDTH, HEIGHT = 6, 5


@pytest.fixture
def weights() -> np.ndarray:
    """A matrix of fp16 numbers, as FP32."""
    return np.random.default_rng(0).standard_normal((HEIGHT, WIDTH)).astype(np.float16).astype(np.float32)


def linear(weights: np.ndarray, bias: np.ndarray) -> onnx.ModelProto:
    """y = x · weights + bias."""
    rows, columns = weights.shape
    return helper.make_model(
        helper.make_graph(
            [helper.make_node("MatMul", ["x", "w"], ["p"]), helper.make_node("Add", ["p", "fc.bias"], ["y"])],
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["b", rows])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["b", columns])],
            [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(bias, "fc.bias")],
        ),
        opset_imports=[helper.make_opsetid("", 20)],
        ir_version=10,
    )


def referring(model: onnx.ModelProto, folder: Path, **tensors: np.ndarray) -> dict[str, int]:
    """Writes tensors to a file, makes the graph refer to it, and writes the graph."""
    save_file(tensors, folder / "weights.safetensors")
    used = external.refer(model, {"weights.safetensors": folder / "weights.safetensors"})
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    onnx.checker.check_model(folder / "model.onnx")
    return used


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_a_graph_computes_the_same_from_the_file(
    kind: type, transposed: bool, weights: np.ndarray, tmp_path: Path
) -> None:
    bias = np.ones(WIDTH, np.float32)
    model = linear(weights, bias)
    (tmp_path / "plain.onnx").write_bytes(model.SerializeToString())
    stored = np.ascontiguousarray(weights.T if transposed else weights).astype(kind)
    used = referring(model, tmp_path, **{"fc.weight": stored, "fc.bias": bias.astype(kind)})
    assert used == {"weights.safetensors": stored.nbytes + WIDTH * stored.itemsize}
    assert all(external.is_external(tensor) for tensor in model.graph.initializer)
    x = np.random.default_rng(1).standard_normal((3, HEIGHT)).astype(np.float32)
    (expected,) = session(tmp_path / "plain.onnx").run(None, {"x": x})
    (match,) = session(tmp_path / "model.onnx").run(None, {"x": x})
    assert np.array_equal(match, expected)


def test_other_numbers_stay_in_the_graph(weights: np.ndarray, tmp_path: Path) -> None:
    model = linear(weights, np.zeros(WIDTH, np.float32))
    # One bit off; and ones that only happen to be like some other tensor's.
    off = weights.astype(np.float16)
    off[0, 0] = np.nextafter(off[0, 0], np.float16(9))
    assert referring(model, tmp_path, **{"fc.weight": off, "norm.bias": np.zeros(WIDTH, np.float16)}) == {}
    assert not any(external.is_external(tensor) for tensor in model.graph.initializer)


def test_equal_tensors_are_told_apart_by_their_names(tmp_path: Path) -> None:
    bias = np.ones(WIDTH, np.float32)
    model = linear(np.eye(HEIGHT, WIDTH, dtype=np.float32), bias)
    tensors = {"a.bias": bias.astype(np.float16), "fc.bias": bias.astype(np.float16)}
    referring(model, tmp_path, **tensors)
    stored = next(tensor for tensor in model.graph.initializer if tensor.name == "fc.bias.stored")
    offset = next(int(entry.value) for entry in stored.external_data if entry.key == "offset")
    (extent,) = (match for match in external.extents(tmp_path / "weights.safetensors") if match.name == "fc.bias")
    assert offset == extent.offset


@pytest.mark.parametrize("name", list(COMPONENTS))
def test_exported_weights_are_the_folders_own_bytes(name: str, tiny_pipelines: Path, tiny_repository: Path) -> None:
    folder, source = tiny_repository / name / "1", tiny.source(tiny_pipelines, name)
    beside = {path.name for path in folder.iterdir()} - {"model.onnx"}
    assert beside == set(source.files)
    for file, path in source.files.items():
        assert (folder / file).read_bytes() == path.read_bytes()
    entry = json.loads((tiny_repository / "pipeline.json").read_text())["models"][name]
    assert {f"1/{file}" for file in beside} < set(entry["files"])


@pytest.mark.parametrize("name", list(COMPONENTS))
def test_exported_graphs_keep_no_weights(name: str, tiny_repository: Path) -> None:
    model = onnx.load(tiny_repository / name / "1" / "model.onnx", load_external_data=False)
    inside = [tensor for tensor in model.graph.initializer if not external.is_external(tensor)]
    # Lanczos' taps are no weights.
    inside = [tensor for tensor in inside if tensor.name != "lanczos"]
    # Tables of frequencies, sizes, scales; norms that were never trained are ones and zeros, told from nothing.
    varied = [tensor for tensor in inside if np.unique(numpy_helper.to_array(tensor)).size > external.FEWEST_UNNAMED]
    assert sum(numpy_helper.to_array(tensor).nbytes for tensor in varied) <= 1024, [tensor.name for tensor in varied]

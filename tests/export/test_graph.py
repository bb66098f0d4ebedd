"""Graphs: fp16 initialisers that lose nothing, tidy files, and the same bytes for the same weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file, save_file

from export import graph
from export.errors import ExportError
from export.files import model_files
from export.models import COMPONENTS
from export.models.component import ComponentModule
from tests.export import tiny


def linear(weights: np.ndarray) -> onnx.ModelProto:
    """A graph of one MatMul with these weights."""
    rows, columns = weights.shape
    return helper.make_model(
        helper.make_graph(
            [helper.make_node("MatMul", ["x", "w"], ["y"])],
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["b", rows])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["b", columns])],
            [numpy_helper.from_array(weights, "w")],
        )
    )


def test_weights_that_fp16_can_hold_are_halved_behind_a_cast() -> None:
    weights = np.random.default_rng(0).standard_normal((64, 32)).astype(np.float16).astype(np.float32)
    model = linear(weights)
    assert graph.halve_initialisers(model) == 1
    onnx.checker.check_model(model)
    (stored,) = model.graph.initializer
    assert stored.data_type == TensorProto.FLOAT16
    assert np.array_equal(numpy_helper.to_array(stored).astype(np.float32), weights)
    assert [node.op_type for node in model.graph.node] == ["Cast", "MatMul"]


@pytest.mark.parametrize(
    "weights",
    [
        np.full((64, 32), 1.0001, np.float32),  # would be rounded
        np.full((64, 32), 70000.0, np.float32),  # would be infinite
        np.ones((4, 4), np.float32),  # not worth it
    ],
)
def test_other_weights_stay_as_they_are(weights: np.ndarray) -> None:
    model = linear(weights)
    assert graph.halve_initialisers(model) == 0
    assert np.array_equal(numpy_helper.to_array(model.graph.initializer[0]), weights)


def test_rounding_leaves_small_and_huge_parameters_alone() -> None:
    module = torch.nn.Linear(64, 32)
    with torch.no_grad():
        module.weight.fill_(1.0001)
        module.bias.fill_(1.0001)
    graph.round_weights(module)
    assert module.weight[0, 0] == torch.tensor(1.0001).half().float()
    assert module.bias[0] == torch.tensor(1.0001)
    with torch.no_grad():
        module.weight.fill_(1e6)
    graph.round_weights(module)
    assert module.weight[0, 0] == 1e6


def test_exported_graphs_store_big_weights_as_fp16(tiny_repository: Path) -> None:
    for name in COMPONENTS:
        model = onnx.load(tiny_repository / name / "1" / "model.onnx", load_external_data=False)
        big = [tensor for tensor in model.graph.initializer if np.prod(tensor.dims) >= graph.ROUND_FROM]
        kinds = {tensor.data_type for tensor in big}
        assert TensorProto.FLOAT not in kinds, name
        assert not big or TensorProto.FLOAT16 in kinds, name


def test_exported_graphs_name_no_place_of_the_machine(tiny_repository: Path) -> None:
    for role in COMPONENTS:
        content = (tiny_repository / role / "1" / "model.onnx").read_bytes()
        assert b"site-packages" not in content, role
        assert b".py" not in content, role


SMALL = "image_encoder_uve"
"""Traced in a second or two, and it has what matters here: convolutions, norms, matrices."""


def small(folder: Path) -> tuple[ComponentModule, dict[str, Path]]:
    """One tiny component, ready to be written, and its weights files."""
    component, source = COMPONENTS[SMALL], tiny.source(folder, SMALL)
    prepared = component.prepare(component.load(source))
    graph.round_weights(prepared.module)
    return prepared, source.files


def test_the_same_weights_give_the_same_bytes(tiny_pipelines: Path, tiny_repository: Path, tmp_path: Path) -> None:
    prepared, files = small(tiny_pipelines)
    graph.write(prepared, tmp_path / "model.onnx", files)
    assert model_files(tmp_path) == model_files(tiny_repository / SMALL / "1")


def test_other_weights_give_the_same_graph(tiny_pipelines: Path, tiny_repository: Path, tmp_path: Path) -> None:
    prepared, files = small(tiny_pipelines)
    tensors = {name: values + np.float16(0.25) for name, values in load_file(files["weights.safetensors"]).items()}
    save_file(tensors, tmp_path / "new.safetensors", metadata={"format": "pt"})
    prepared.module.load_state_dict({name: torch.tensor(values).float() for name, values in tensors.items()})
    graph.write(prepared, tmp_path / "1" / "model.onnx", {"weights.safetensors": tmp_path / "new.safetensors"})
    # What a retraining costs the history: the weights once, the graph not at all.
    assert (tmp_path / "1" / "model.onnx").read_bytes() == (tiny_repository / SMALL / "1" / "model.onnx").read_bytes()
    assert (tmp_path / "1" / "weights.safetensors").read_bytes() == (tmp_path / "new.safetensors").read_bytes()


def test_an_input_that_leads_nowhere_is_refused(tiny_pipelines: Path) -> None:
    prepared, _ = small(tiny_pipelines)
    model = linear(np.ones((4, 4), np.float32))
    with pytest.raises(ExportError, match="the graph's inputs are"):
        graph.expect_names(prepared, model)

"""FP8: which products are quantised, by which scales, and that a quantised graph computes with the rounded numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from ml_dtypes import float8_e4m3fn
from onnx import TensorProto, helper, numpy_helper

from export import quantising
from export.errors import ExportError
from export.options import ExportOptions
from export.precision import Precisions
from export.rehearsal.examples import drawn
from export.rehearsal.recording import RehearsalConfig
from export.report import ExportReport
from export.run import export_graphs
from export.running import session
from export.source import open_folder
from export.survey import survey
from tests.export import tiny

pytestmark = pytest.mark.timeout(tiny.EXPORT_TIMEOUT_S)
WIDTH, OUT = 32, 16


def write_graph(path: Path, out: int = OUT) -> np.ndarray:
    """x → Relu → MatMul by a weight that is stored transposed."""
    shape = ("rows", 4, WIDTH)
    weight = np.random.default_rng(0).standard_normal((out, WIDTH)).astype(np.float16)
    nodes = [
        helper.make_node("Cast", ["x"], ["half"], to=TensorProto.FLOAT16),
        helper.make_node("Relu", ["half"], ["positive"]),
        helper.make_node("Transpose", ["w.stored"], ["w"], perm=[1, 0]),
        helper.make_node("MatMul", ["positive", "w"], ["made"]),
        helper.make_node("Cast", ["made"], ["y"], to=TensorProto.FLOAT),
    ]
    graph = helper.make_graph(
        nodes,
        "main",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [*shape[:-1], out])],
        [numpy_helper.from_array(weight, "w.stored")],
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return weight.T


def inputs(rows: int = 3, seed: int = 1) -> np.ndarray:
    """Tokens [rows, 4, WIDTH]."""
    return np.random.default_rng(seed).standard_normal((rows, 4, WIDTH)).astype(np.float32)


def rounded(values: np.ndarray, largest: float) -> np.ndarray:
    """What E4M3 makes of values, by the scale of their largest."""
    scale = np.float32(np.float16(largest / quantising.LARGEST))
    return np.clip(values / scale, -448, 448).astype(float8_e4m3fn).astype(np.float32) * scale


def test_products_take_rounded_numbers(tmp_path: Path) -> None:
    path, x = tmp_path / "m" / "1" / "model.onnx", inputs()
    weight = write_graph(path)
    plain = session(path).run(None, {"x": x})[0]
    assert quantising.quantise(path, [{"x": x[:1]}, {"x": x}]) == 1
    result = session(path).run(None, {"x": x})[0]
    positive = np.maximum(x.astype(np.float16).astype(np.float32), 0)
    expected = rounded(positive, positive.max()) @ rounded(weight.astype(np.float32), np.abs(weight).max())
    assert np.abs(result - expected).max() / np.abs(expected).max() < 2e-3
    assert 1e-3 < np.abs(result - plain).max() / np.abs(plain).max() < 0.1
    assert quantising.quantise(path, []) == 0, "a quantised graph stays as it is"


def test_scales_are_the_largest_of_all_calls(tmp_path: Path) -> None:
    path = tmp_path / "m" / "1" / "model.onnx"
    write_graph(path)
    quantising.quantise(path, [{"x": inputs()}, {"x": 100 * inputs()}])
    scales = {tensor.name: tensor for tensor in onnx.load(path).graph.initializer}
    largest = float(numpy_helper.to_array(scales["positive.scale"])) * quantising.LARGEST
    assert largest == pytest.approx(100 * inputs().max(), rel=2e-3)


def test_a_matrix_that_fp8_does_not_fit_is_left(tmp_path: Path) -> None:
    path = tmp_path / "m" / "1" / "model.onnx"
    write_graph(path, out=12)
    before = path.read_bytes()
    assert quantising.quantise(path, []) == 0
    assert path.read_bytes() == before
    write_graph(path)
    with pytest.raises(ExportError, match="m: fp8 needs a rehearsal"):
        quantising.quantise(path, [])


def export(folder: Path, work: Path, model: str, steps: int = 2) -> ExportReport:
    """One model in FP8, the others in FP32."""
    rehearsal = RehearsalConfig(steps, drawn()[:1])
    options = ExportOptions(Precisions(models={model: "fp8"}), work, rehearsal=rehearsal)
    return export_graphs([folder], lambda name, what: None, options, names=[model])


@pytest.mark.parametrize(
    ("model", "products"), [("text_encoder_g", 12), pytest.param("denoiser", 20, marks=pytest.mark.full)]
)
def test_a_model_is_calibrated_by_its_rehearsal(
    model: str, products: int, tiny_pipelines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (report,) = export(tiny_pipelines / "tiny", tmp_path / "work", model).models
    real = report.parity.worst_of("real")
    assert real is not None
    assert 1e-3 < real.relative < 0.2
    (graph,) = (tmp_path / "work" / "graphs").glob("*/graph/model.onnx")
    nodes = onnx.load(graph, load_external_data=False).graph.node
    assert sum(node.op_type == "QuantizeLinear" for node in nodes) > products

    def build_again(*_: object) -> None:
        raise ExportError("another rehearsal, other scales")

    monkeypatch.setattr("export.build.build_graph", build_again)
    (again,) = export(tiny_pipelines / "tiny", tmp_path / "work", model).models
    assert again.kept
    with pytest.raises(ExportError, match="another rehearsal, other scales"):
        export(tiny_pipelines / "tiny", tmp_path / "work", model, steps=3)


def test_fp8_without_a_rehearsal_is_refused(tiny_pipelines: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="fp8 calibrates its scales in a rehearsal: give it --steps 1"):
        export_graphs([tiny_pipelines / "tiny"], print, ExportOptions(Precisions("fp8"), tmp_path))
    assert open_folder(tiny_pipelines / "tiny")
    assert survey(tiny_pipelines / "tiny", Precisions("fp8"), "tensorrt").problems == ()

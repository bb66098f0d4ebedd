"""Denoisers exported with a bank of adapters: the repository's entry, the graph, and the file beside it."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from safetensors.torch import save_file

from export import adapters, external, graph
from export.__main__ import main
from export.adapters import AdapterSelection, Bank, LoraRef
from export.bank_reuse import FILE, fits
from export.command import parse
from export.contract import Axis, Contract, Size, TensorSpec
from export.errors import ExportError
from export.files import digest
from export.lora_files import Lora, read_lora
from export.models import COMPONENTS
from export.models.component import Inputs
from export.option_values import adapter_selection
from export.options import ExportOptions
from export.plan import RepositoryPlan, plan_repository
from export.run import export_pipelines
from export.running import relative, session
from export.source import open_folder
from export.tensor_files import extents
from orchestrator.repository import load
from tests.export import loras, tiny

LAYERS = {
    "denoiser": (
        "down_blocks.0.resnets.0.conv1",
        "down_blocks.0.downsamplers.0.conv",
        "down_blocks.1.resnets.0.conv_shortcut",
        "down_blocks.1.resnets.0.time_emb_proj",
        "mid_block.attentions.0.transformer_blocks.0.attn1.to_out.0",
        "mid_block.attentions.0.transformer_blocks.0.attn2.to_k",
        "mid_block.attentions.0.transformer_blocks.0.attn2.processor.to_k_ip",
    ),
    "denoiser_dit": (
        "pos_embed.proj",
        "time_text_embed.timestep_embedder.linear_1",
        "transformer_blocks.0.norm1.linear",
        "transformer_blocks.0.attn.to_q",
    ),
}
"""One layer of every kind: each more costs seconds of tracing. The bank in torch is tested with all of them."""
SIZE = Size(height=64, width=96, tokens=16)
SLOTS = 3
DIT = pytest.mark.full
"""In torch, a bank on a transformer is compared in the default suite too: test_adapter_bank.py."""
pytestmark = pytest.mark.timeout(tiny.EXPORT_TIMEOUT_S)


def shapes_of(folder: Path, name: str) -> dict[str, tuple[int, ...]]:
    """The layers that the test's adapters change."""
    outputs = adapters.layer_shapes(tiny.source(folder, name))
    return {layer: outputs[layer] for layer in LAYERS[name]}


@pytest.fixture(scope="module")
def files(tiny_pipelines: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three adapters of the UNet, one of the transformer."""
    folder, unet = tmp_path_factory.mktemp("loras"), shapes_of(tiny_pipelines, "denoiser")
    dit = shapes_of(tiny_pipelines, "denoiser_dit")
    paths = {
        name: loras.write_peft(folder / f"{name}.safetensors", loras.random_lora(unet, rank, seed=rank), unet)
        for name, rank in (("first", 4), ("second", 2), ("third", 3))
    }
    return paths | {"dit": loras.write_peft(folder / "dit.safetensors", loras.random_lora(dit, 2, 9), dit)}


def refs_of(files: dict[str, Path]) -> tuple[LoraRef, ...]:
    """What is asked for: two adapters of the UNet, one of the transformer."""
    return (
        LoraRef("first", files["first"]),
        LoraRef("second", files["second"], "tiny"),
        LoraRef("only", files["dit"], "tiny-dit"),
    )


def export_bank(out: Path, tiny_pipelines: Path, name: str, refs: tuple[LoraRef, ...]) -> Path:
    """Exports a denoiser again, with a bank; parity is checked on the way."""
    sources = [tiny_pipelines / pipeline for pipeline in tiny.NAMES]
    export = export_pipelines(sources, out, tiny.silent, names=[name], selection=AdapterSelection(refs, 3))
    assert [report.model for report in export.models] == [name]
    return out


@pytest.fixture(scope="module")
def adapted(
    files: dict[str, Path],
    tiny_pipelines: Path,
    tiny_repository: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The tiny repository with a bank on its UNet."""
    out = Path(shutil.copytree(tiny_repository, tmp_path_factory.mktemp("adapted") / "repository"))
    return export_bank(out, tiny_pipelines, "denoiser", refs_of(files)[:2])


@pytest.fixture(scope="module")
def adapted_dit(
    files: dict[str, Path], tiny_pipelines: Path, adapted: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The same with a bank on the transformer as well."""
    out = Path(shutil.copytree(adapted, tmp_path_factory.mktemp("adapted-dit") / "repository"))
    return export_bank(out, tiny_pipelines, "denoiser_dit", refs_of(files)[2:])


@pytest.fixture
def banked(name: str, request: pytest.FixtureRequest) -> Path:
    """A repository in which the denoiser `name` has a bank."""
    repository: Path = request.getfixturevalue("adapted" if name == "denoiser" else "adapted_dit")
    return repository


def rows(folder: Path, name: str, adapter: list[list[int]]) -> tuple[dict[str, np.ndarray], Inputs]:
    """A batch whose rows name these adapters at scale 1: as the graph reads it, and as the plain module does."""
    component = COMPONENTS[name]
    prepared = component.prepare(component.load(tiny.source(folder, name)))
    inputs = prepared.sample(len(adapter), SIZE, torch.Generator().manual_seed(3))
    feed = {spec.name: value.numpy() for spec, value in zip(prepared.inputs, inputs, strict=True)}
    numbers = np.array([[*row, *[0] * (SLOTS - len(row))] for row in adapter])
    return feed | {"adapter": numbers, "adapter_scale": np.ones(numbers.shape, np.float32)}, inputs


def fused(folder: Path, name: str, adapters: list[Lora], inputs: Inputs) -> np.ndarray:
    """The plain module's answer with adapters in its weights."""
    component = COMPONENTS[name]
    network = component.load(tiny.source(folder, name))
    for lora in adapters:
        loras.fuse(network, lora, 1.0)
    with torch.inference_mode():
        outputs: np.ndarray = component.prepare(network).module(*inputs).numpy()
    return outputs


@pytest.mark.parametrize(
    ("name", "expected"), [("denoiser", ["first", "second"]), pytest.param("denoiser_dit", ["only"], marks=DIT)]
)
def test_the_entry_names_every_adapter(name: str, expected: list[str], banked: Path, files: dict[str, Path]) -> None:
    models = json.loads((banked / "pipeline.json").read_text())["models"]
    entry = models[name]
    rank = 4 if name == "denoiser" else 2
    assert [entry["adapters"][key] for key in ("rows", "rank", "slots")] == [3, rank, SLOTS]
    assert {ref: value["row"] for ref, value in entry["adapters"]["names"].items()} == {
        ref: number for number, ref in enumerate(expected, 1)
    }
    paths = {"only": files["dit"]} | files
    assert all(value["digest"] == f"sha256:{digest(paths[ref])}" for ref, value in entry["adapters"]["names"].items())
    assert "adapters" not in models["reward"]
    assert entry["inputs"][-2:] == [
        {"name": "adapter", "dtype": "INT64", "shape": [SLOTS]},
        {"name": "adapter_scale", "dtype": "FP32", "shape": [SLOTS]},
    ]
    assert f"1/{FILE}" in entry["files"]
    assert 'name: "adapter" data_type: TYPE_INT64 dims: [ 3 ]' in (banked / name / "config.pbtxt").read_text()


def test_each_denoiser_gets_the_adapters_of_its_pipeline(plan: RepositoryPlan, files: dict[str, Path]) -> None:
    banks = adapters.open_banks(plan, AdapterSelection(refs_of(files), 3))
    assert {name: bank.layers.keys() for name, bank in banks.items()} == {
        name: set(layers) for name, layers in LAYERS.items()
    }
    assert {name: [ref.name for ref, _ in bank.adapters] for name, bank in banks.items()} == {
        "denoiser": ["first", "second"],
        "denoiser_dit": ["only"],
    }


def test_the_orchestrator_reads_such_a_repository(adapted: Path) -> None:
    pipeline = load(adapted).pipelines["tiny"]
    assert {name: adapter.row for name, adapter in pipeline.adapters.items()} == {"first": 1, "second": 2}
    assert pipeline.adapter_slots == SLOTS


@pytest.mark.parametrize(
    ("name", "row", "names"),
    [
        ("denoiser", [2], ["second"]),
        ("denoiser", [1, 2], ["first", "second"]),
        pytest.param("denoiser_dit", [1], ["dit"], marks=DIT),
    ],
)
def test_a_row_is_the_denoiser_with_its_adapters_in_the_weights(
    name: str, row: list[int], names: list[str], banked: Path, tiny_pipelines: Path, files: dict[str, Path]
) -> None:
    feed, inputs = rows(tiny_pipelines, name, [row, []])
    (outputs,) = session(banked / name / "1" / "model.onnx").run(None, feed)
    every = [read_lora(files[file], shapes_of(tiny_pipelines, name)) for file in names]
    expected, plain = fused(tiny_pipelines, name, every, inputs), fused(tiny_pipelines, name, [], inputs)
    assert relative(expected[0], outputs[0]) <= 1e-4
    assert relative(plain[1], outputs[1]) <= 1e-4
    assert relative(plain[0], outputs[0]) > 1e-2, "the adapter changes nothing"


@pytest.mark.parametrize("name", ["denoiser", pytest.param("denoiser_dit", marks=DIT)])
def test_the_graph_points_at_every_tensor_of_the_bank(name: str, banked: Path) -> None:
    folder = banked / name / "1"
    model = onnx.load(folder / "model.onnx", load_external_data=False)
    offsets = {
        int(entry.value)
        for tensor in model.graph.initializer
        if external.is_external(tensor) and tensor.external_data[0].value == FILE
        for entry in tensor.external_data
        if entry.key == "offset"
    }
    stored = extents(folder / FILE)
    assert offsets == {extent.offset for extent in stored}
    assert len(stored) == 2 * len(LAYERS[name])
    assert (folder / FILE).stat().st_mode == (folder / "model.onnx").stat().st_mode, "readable by the server"


def test_one_more_adapter_is_another_file_beside_the_same_graph(
    adapted: Path, tiny_pipelines: Path, files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = Path(shutil.copytree(adapted, tmp_path / "repository"))
    before = json.loads((out / "pipeline.json").read_text())["models"]["denoiser"]
    monkeypatch.delattr(graph, "trace")
    selection = AdapterSelection(tuple(LoraRef(name, files[name]) for name in ("first", "second", "third")), 3)
    sources = [tiny_pipelines / name for name in tiny.NAMES]
    own = {"tiny": {"fill": {"third": 0.5}}}
    (outputs,) = export_pipelines(
        sources,
        out,
        tiny.silent,
        names=["denoiser"],
        selection=selection,
        options=ExportOptions(task_adapters=own),
    ).models
    assert json.loads((out / "pipeline.json").read_text())["pipelines"]["tiny"]["task_adapters"] == own["tiny"]
    after = json.loads((out / "pipeline.json").read_text())["models"]["denoiser"]
    changed = {name for name, value in after["files"].items() if before["files"][name] != value}
    assert changed == {f"1/{FILE}", "config.pbtxt"}
    assert after["fingerprint"] != before["fingerprint"]
    assert after["adapters"]["names"]["third"]["row"] == 3
    assert outputs.disk.graph == (out / "denoiser" / "1" / "model.onnx").stat().st_size
    assert outputs.disk.referred > 0
    feed, inputs = rows(tiny_pipelines, "denoiser", [[3]])
    (answer,) = session(out / "denoiser" / "1" / "model.onnx").run(None, feed)
    third = read_lora(files["third"], shapes_of(tiny_pipelines, "denoiser"))
    assert relative(fused(tiny_pipelines, "denoiser", [third], inputs), answer) <= 1e-4


def write_graph(path: Path, slots: int) -> None:
    """A graph that reads the adapters of its rows, and does nothing else."""
    inputs = [helper.make_tensor_value_info("adapter", TensorProto.INT64, ["rows", slots])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.INT64, ["rows", slots])]
    nodes = [helper.make_node("Identity", ["adapter"], ["y"])]
    onnx.save(helper.make_model(helper.make_graph(nodes, "g", inputs, outputs)), path)


CONTRACT = Contract((TensorSpec("adapter", "INT64", (SLOTS,)),), (TensorSpec("y", "INT64", (SLOTS,)),))
"""Of the graph that `write_graph` writes."""
STYLED = dataclasses.replace(
    CONTRACT, inputs=(*CONTRACT.inputs, TensorSpec("image_tokens", "FP32", (4, Axis("width"))))
)
"""The same for a pipeline that has got an IP-Adapter since."""


@pytest.mark.parametrize(
    "change", ["none", "weights", "bank", "damage", "stranger", "plain", "slots", "style", "graph"]
)
def test_a_graph_is_taken_again_only_for_the_same_weights_and_layout(change: str, tmp_path: Path) -> None:
    served, files = tmp_path / "served", {name: tmp_path / name for name in ("weights.safetensors", FILE)}
    served.mkdir()
    for path in files.values():
        save_file({"a": torch.zeros(4)}, path)
        shutil.copyfile(path, served / path.name)
    save_file({"a": torch.ones(4)}, served / FILE)
    write_graph(served / "model.onnx", 2 if change == "slots" else SLOTS)
    if change == "weights":
        save_file({"a": torch.ones(4)}, served / "weights.safetensors")
    elif change == "bank":
        save_file({"a": torch.ones(5)}, served / FILE)
    elif change == "damage":
        (served / FILE).write_bytes(b"")
    elif change == "stranger":
        (served / "ip_adapter.safetensors").write_bytes(b"")
    elif change == "plain":
        (served / FILE).unlink()
    elif change == "graph":
        (served / "model.onnx").write_bytes(b"graph")
    assert fits(served, files, STYLED if change == "style" else CONTRACT) == (change == "none")


def test_nothing_of_the_adapters_is_in_what_is_traced(tiny_pipelines: Path, files: dict[str, Path]) -> None:
    source = tiny.source(tiny_pipelines, "denoiser")
    one, other = (adapters.open_bank(source, [LoraRef("x", files[name])], 3, 4) for name in ("first", "second"))
    assert all(torch.equal(value, other.placeholders()[name]) for name, value in one.placeholders().items())
    assert not all(torch.equal(value, other.tensors()[name]) for name, value in one.tensors().items())


@pytest.fixture(scope="module")
def plan(tiny_pipelines: Path) -> RepositoryPlan:
    """The plan of the tiny repository."""
    return plan_repository([open_folder(tiny_pipelines / name) for name in tiny.NAMES])


def test_adapters_that_cannot_be_served_are_refused(plan: RepositoryPlan, files: dict[str, Path]) -> None:
    first, second = LoraRef("first", files["first"]), LoraRef("second", files["second"])
    for selection, message in (
        (AdapterSelection((first, second), 1), "2 adapters do not fit into 1 rows; ask for --adapter-rows 2"),
        (AdapterSelection((first,), rank=3), "has rank 4, more than the bank's 3"),
        (AdapterSelection((first,), 2, slots=3), "--adapter-slots 3 is more than the 2 rows of the bank"),
        (AdapterSelection((first, LoraRef("first", files["second"]))), "Two adapters of tiny are called first"),
        (
            AdapterSelection((LoraRef("x", files["first"], "tiny-slow"),)),
            "There is no pipeline 'tiny-slow' for the adapter x",
        ),
        (
            AdapterSelection((LoraRef("x", files["dit"]),)),
            "adapts pos_embed.proj, a layer that this denoiser does not have",
        ),
    ):
        with pytest.raises(ExportError, match=message):
            adapters.open_banks(plan, selection)


@pytest.mark.parametrize(("rows", "slots", "expected"), [(1, None, 1), (2, None, 2), (8, None, 3), (8, 5, 5)])
def test_a_row_has_three_slots_unless_told_otherwise(
    rows: int, slots: int | None, expected: int, tiny_pipelines: Path, files: dict[str, Path]
) -> None:
    source = tiny.source(tiny_pipelines, "denoiser")
    assert adapters.open_bank(source, [LoraRef("x", files["first"])], rows, slots=slots).slots == expected


@pytest.mark.parametrize(
    ("name", "tensor", "message"),
    [
        ("bad.safetensors", "unet.nowhere.lora_A.weight", "bad.safetensors adapts nowhere, a layer that this denoiser"),
        ("bad.safetensors", "unet.conv_in.lora_C.weight", "bad.safetensors has a key that no LoRA format knows"),
        ("bad.pt", "unet.conv_in.lora_A.weight", "bad.pt is a pickle, which can run code"),
    ],
)
def test_a_bad_lora_is_told_before_anything_is_made(
    name: str, tensor: str, message: str, tiny_pipelines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_file({tensor: torch.zeros(2, 9)}, tmp_path / name)
    arguments = [
        "--pipeline",
        str(tiny_pipelines / "tiny"),
        "--out",
        str(tmp_path / "out"),
        "--work",
        f"{tmp_path}/work",
    ]
    assert main(["all", *arguments, "--adapter", f"x={tmp_path / name}"]) == 1
    assert message in capsys.readouterr().err
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_numbers_beyond_fp16_are_refused(files: dict[str, Path]) -> None:
    shapes: dict[str, tuple[int, ...]] = {"fc": (2, 2)}
    lora = loras.random_lora(shapes, 1, 0, strength=1e9)
    bank = Bank(shapes, 1, 1, ((LoraRef("x", files["first"]), lora),))
    assert max(float(values.abs().max()) for values in bank.tensors().values()) > 1e6
    with pytest.raises(ExportError, match="has values that fp16 cannot hold"):
        dataclasses.replace(bank, dtype=torch.float16).tensors()


def test_an_fp32_bank_holds_a_strength_that_fp16_does_not(files: dict[str, Path]) -> None:
    shapes: dict[str, tuple[int, ...]] = {"fc": (8, 8)}
    lora = loras.random_lora(shapes, 2, 0, strength=0.5**0.5)
    bank = Bank(shapes, 1, 2, ((LoraRef("x", files["first"]), lora),))
    update, tensors = lora.updates["fc"], bank.tensors()
    exact = update.strength * update.up.view(8, -1) @ update.down.view(-1, 8)
    served = tensors["fc.adapters_up"][1].T @ tensors["fc.adapters_down"][1]
    assert torch.allclose(served, exact, rtol=1e-6, atol=1e-7)


def test_a_denoiser_that_is_kept_gets_no_adapters(
    tiny_pipelines: Path, tiny_repository: Path, files: dict[str, Path]
) -> None:
    selection = AdapterSelection((LoraRef("first", files["first"]),))
    with pytest.raises(ExportError, match="Adapters change denoiser, which is not among the components to export"):
        export_pipelines(
            [tiny_pipelines / "tiny"], tiny_repository, lambda name, what: None, names=["reward"], selection=selection
        )


def test_the_command_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text("{}")
    arguments = ["all", "--pipeline", str(tmp_path), "--out", str(tmp_path / "out")]
    assert adapter_selection(parse(arguments)) is None
    several = ["--adapter", "a=x.safetensors", "--adapter", "tiny-dit:b=c:/y"]
    outputs = adapter_selection(parse([*arguments, *several, "--adapter-rows", "6", "--adapter-slots", "2"]))
    refs = (LoraRef("a", Path("x.safetensors")), LoraRef("b", Path("c:/y"), "tiny-dit"))
    assert outputs == AdapterSelection(refs, 6, slots=2)
    for wrong, message in (
        (["--adapter", "nothing"], "'nothing' is not NAME=PATH"),
        (["--adapter", "a=b", "--adapter-rows", "0"], "--adapter-rows 0 is not a positive number"),
        (["--adapter", "a=b", "--adapter-slots", "0"], "--adapter-slots 0 is not a positive number"),
    ):
        assert main([*arguments, *wrong]) == 1
        assert message in capsys.readouterr().err

"""Adapters with parts for text encoders: what `inspect`, the export and `pipeline.json` say of them."""

from __future__ import annotations

import io
from argparse import Namespace
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file, save_file

from export import adapters
from export.__main__ import main
from export.adapters import AdapterSelection, LoraRef
from export.errors import BadFolderError
from export.files import digest
from export.plan import plan_repository
from export.report import ExportReport
from export.source import open_folder
from export.steps import StepResult
from tests.export import loras, tiny

LAYER = "mid_block.attentions.0.transformer_blocks.0.attn2.to_k"
TEXT = {
    f"lora_te{number}_text_model_encoder_layers_0_mlp_fc1.{part}": torch.ones(2, 2)
    for number in (1, 2)
    for part in ("lora_down.weight", "lora_up.weight", "alpha")[: number + 1]
}


@pytest.fixture(scope="module")
def partial(tiny_pipelines: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of kohya's for the denoiser and both text encoders."""
    shapes = {LAYER: adapters.layer_shapes(tiny.source(tiny_pipelines, "denoiser"))[LAYER]}
    path = tmp_path_factory.mktemp("partial") / "a.safetensors"
    loras.write_kohya(path, loras.random_lora(shapes, 2, seed=0), shapes)
    save_file(load_file(path) | TEXT, path)
    return path


def test_inspect_says_what_would_be_left_out(
    partial: Path, tiny_pipelines: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["inspect", "--pipeline", str(tiny_pipelines / "tiny"), "--adapter", f"style={partial}"]
    assert main(arguments) == 1
    told = " ".join(capsys.readouterr().err.split())
    assert "not served: 2 tensors of text_encoder, 3 tensors of text_encoder_2; --allow-partial serves it" in told
    assert main([*arguments, "--allow-partial"]) == 0
    told = " ".join(capsys.readouterr().err.split())
    assert (
        "adapter style of tiny: 1 layers, rank 2, strength 0.5; "
        "left out: 2 tensors of text_encoder, 3 tensors of text_encoder_2"
    ) in told
    assert main([*arguments, "--adapter", f"other:x={partial}"]) == 1
    assert "There is no pipeline 'other' for the adapter x." in capsys.readouterr().err


def test_the_export_and_the_repository_say_what_is_left_out(partial: Path, tiny_pipelines: Path) -> None:
    plan = plan_repository([open_folder(tiny_pipelines / "tiny")])
    refs = (LoraRef("style", partial),)
    with pytest.raises(BadFolderError, match="--allow-partial serves it without them"):
        adapters.open_banks(plan, AdapterSelection(refs))
    (bank,) = adapters.open_banks(plan, AdapterSelection(refs, allow_partial=True)).values()
    assert bank.entry()["names"]["style"] == {
        "row": 1,
        "digest": f"sha256:{digest(partial)}",
        "left_out": {"text_encoder": 2, "text_encoder_2": 3},
    }
    assert bank.notes() == [
        "The adapter style is served without its part for text encoders "
        "(2 tensors of text_encoder, 3 tensors of text_encoder_2)."
    ]


def test_the_summary_ends_with_the_notes(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=120)
    result = StepResult(ExportReport(graphs=1, notes=("The adapter style is served in part.",)))
    result.show(console, Namespace(step="all", out=tmp_path, work=tmp_path), 1.0)
    assert isinstance(console.file, io.StringIO)
    assert "The adapter style is served in part.\n" in console.file.getvalue()

"""`inspect`: what a folder holds and what is wrong with it, without torch."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from export.__main__ import main
from export.precision import Precisions
from export.survey import survey
from orchestrator.tasks import ALL
from tests.export.test_source import WEIGHTS, edit, truncate

WITHOUT_UPSCALER = tuple(task for task in ALL if task != "upscale")


@pytest.fixture
def folder(tiny_pipelines: Path, tmp_path: Path) -> Path:
    """A copy of the first tiny folder."""
    return Path(shutil.copytree(tiny_pipelines / "tiny", tmp_path / "tiny"))


def test_every_part_of_a_folder_is_told(folder: Path) -> None:
    result = survey(folder, Precisions("fp16", {"vae_decoder": "fp32"}), "tensorrt")
    assert result.problems == result.notes == ()
    parts = {part.model: part for part in result.parts}
    assert len(parts) == 11
    assert parts["denoiser"].folder == "tiny/unet"
    assert parts["denoiser"].cls == "UNet2DConditionModel"
    assert parts["denoiser"].stored == "F16"
    assert parts["denoiser"].size == (folder / "unet" / WEIGHTS).stat().st_size + sum(
        file.stat().st_size for file in (folder / "ip_adapter").iterdir()
    )
    assert 0 < parts["denoiser"].parameters * 2 < parts["denoiser"].size
    assert [parts[name].precision for name in ("denoiser", "vae_decoder")] == ["fp16", "fp32"]
    assert "SDXL, inpainting, IP-Adapter" in result.title
    assert "builds an engine" in result.title


def test_all_that_is_wrong_is_told_at_once(folder: Path) -> None:
    truncate(folder / "unet" / WEIGHTS)
    edit(folder / "vae" / "config.json", _class_name="VQModel")
    result = survey(folder, Precisions(), "onnxruntime")
    assert result.parts == ()
    assert len(result.problems) == 2
    assert "vae/config.json names the class VQModel" in result.problems[0]
    assert f"unet/{WEIGHTS} is truncated" in result.problems[1]


def test_what_is_wrong_with_a_tokenizer_is_told_before_the_export(folder: Path) -> None:
    name = folder / "tokenizer_2" / "tokenizer.json"
    content = json.loads(name.read_text())
    content["model"]["dropout"] = 0.1
    name.write_text(json.dumps(content))
    (problem,) = survey(folder, Precisions(), "onnxruntime").problems
    assert "tokenizer_2/ sets dropout to 0.1" in problem


def test_what_does_not_fit_together_is_told_once(folder: Path) -> None:
    edit(folder / "unet" / "config.json", cross_attention_dim=65)
    (problem,) = survey(folder, Precisions(), "onnxruntime").problems
    assert "cross_attention_dim is 65" in problem


def test_the_tasks_that_a_folder_can_serve_are_told_and_what_it_does_without(folder: Path) -> None:
    served = survey(folder, Precisions(), "onnxruntime").serving
    assert served is not None
    assert served.sentences == [f"tiny serves {', '.join(ALL)}."]
    shutil.rmtree(folder / "upscaler")
    shutil.rmtree(folder / "reward")
    shutil.rmtree(folder / "segmenter")
    served = survey(folder, Precisions(), "onnxruntime").serving
    assert served is not None
    assert served.tasks == WITHOUT_UPSCALER
    assert served.refused == {"upscale": "it has no upscaler."}
    roles = ("reward model", "segmenter", "upscaler")
    assert [sentence.split(",")[0] for sentence in served.lacks] == [f"It has no {role}" for role in roles]


def test_a_reward_model_of_another_text_width_loses_the_head_that_reads_text(folder: Path) -> None:
    edit(folder / "reward" / "config.json", text_dim=17)
    (note,) = survey(folder, Precisions(), "onnxruntime").notes
    assert "reads prompts of width 17" in note
    assert "with the heads defects, aesthetics" in note


def test_the_step_prints_it_and_fails_on_problems(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "--pipeline", str(folder)]) == 0
    printed = capsys.readouterr().err
    assert "UNet2DConditionModel" in printed
    assert f"tiny serves {', '.join(ALL)}." in printed
    (folder / "backdrop.json").write_text(json.dumps({"speed": "fast"}))
    assert main(["inspect", "--pipeline", str(folder)]) == 1
    assert "unknown setting: speed" in capsys.readouterr().err


def test_looking_needs_no_torch(folder: Path) -> None:
    code = (
        "import sys; from export.__main__ import main; status = main(sys.argv[1:]); "
        "sys.exit(status or 'torch' in sys.modules or 'onnxruntime' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, "inspect", "--pipeline", str(folder)], check=False)
    assert done.returncode == 0


def test_the_default_solver_may_be_another_of_the_folders(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def default(scheduler: str | None) -> str:
        return survey(folder, Precisions(), "onnxruntime", scheduler=scheduler).title

    assert "by default ddim" in default(None)
    assert "by default dpmpp_2m" in default("dpmpp_2m")
    (problem,) = survey(folder, Precisions(), "onnxruntime", scheduler="lcm").problems
    assert problem == "The default scheduler 'lcm' is not one of the folder's: ddim, euler, dpmpp_2m, ddpm."


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["euler"], None),
        (["tiny=euler", "ddim"], None),
        (["karras"], "--scheduler 'karras' is not one of ddim, euler"),
        (["other=ddim"], "--scheduler names the pipeline 'other'; there are tiny."),
    ],
)
def test_the_command_line_chooses_the_default_solver(
    flags: list[str], message: str | None, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [text for flag in flags for text in ("--scheduler", flag)]
    assert main(["inspect", "--pipeline", str(folder), *arguments]) == (0 if message is None else 1)
    text = " ".join(capsys.readouterr().err.split())
    assert (message or "by default euler") in text

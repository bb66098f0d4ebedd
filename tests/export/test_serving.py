"""What the export says of a repository is what the orchestrator says; nothing that it refuses is put in place."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from export import run
from export.__main__ import main
from export.errors import ExportError
from export.models import COMPONENTS
from export.plan import plan_repository
from export.run import export_pipelines
from export.serving import check_repository, expected_entry, expected_serving
from export.source import open_folder
from orchestrator.tasks import ALL
from tests.contract.test_bare import without_optional_roles
from tests.export import families
from tests.export.tiny import silent


@pytest.fixture(scope="module")
def folders(tiny_pipelines: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """A folder of each family; read only."""
    base = tmp_path_factory.mktemp("serving")
    families.write_sd15(base / "sd15")
    families.write_sd3(base / "sd3")
    own = {name: tiny_pipelines / name for name in ("tiny", "tiny-dit")}
    return own | {name: base / name for name in ("sd15", "sd3")}


@pytest.mark.parametrize("name", ["tiny", "tiny-dit", "sd15", "sd3"])
def test_the_inputs_that_a_config_promises_are_the_graphs(name: str, folders: Mapping[str, Path]) -> None:
    plan = plan_repository([open_folder(folders[name])])
    for model in plan.models.values():
        if model.role not in ("denoiser", "reward", "image_projector"):
            continue
        component = COMPONENTS[model.source.kind.name]
        contract = component.prepare(component.load(model.source)).contract
        expected = expected_entry(model)
        assert {each["name"] for each in expected["inputs"]} == {spec.name for spec in contract.inputs}, model.name
        shapes = {spec.name: list(spec.dims) for spec in contract.inputs}
        assert all(each["shape"] in ([-1], shapes[each["name"]]) for each in expected["inputs"]), model.name


def test_a_folder_promises_what_its_repository_serves(folders: Mapping[str, Path], tiny_repository: Path) -> None:
    promised = expected_serving(plan_repository([open_folder(folders["tiny"]), open_folder(folders["tiny-dit"])]))
    assert check_repository(tiny_repository) == promised
    assert [each.tasks for each in promised] == [tuple(ALL)] * 2


def change(repository: Path, **text: Any) -> None:
    """Changes a key of the first pipeline's `text`."""
    path = repository / "pipeline.json"
    content = json.loads(path.read_text())
    content["pipelines"]["tiny"]["text"] |= text
    path.write_text(json.dumps(content))


def test_the_orchestrators_reason_is_given(tiny_repository: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(tiny_repository, tmp_path / "broken"))
    change(broken, states=["text_encoder_l"])
    with pytest.raises(ExportError, match=r"would refuse .*broken/pipeline\.json: pipeline tiny: denoiser takes enc"):
        check_repository(broken)
    change(broken, states=["text_encoder_l", "text_encoder_g"])
    (broken / "text_encoder_l" / "tokenizer.json").write_text("{}")
    with pytest.raises(ExportError, match=r"text_encoder_l/tokenizer\.json is not a tokenizer"):
        check_repository(broken)


def test_a_refused_repository_does_not_take_the_place_of_another(
    tiny_pipelines: Path, tiny_repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = Path(shutil.copytree(tiny_repository, tmp_path / "out"))
    before = (out / "pipeline.json").read_bytes()

    def refuse(folder: Path, name: Path) -> None:
        raise ExportError(f"The orchestrator would refuse {name}, in {folder}")

    monkeypatch.setattr(run, "check_repository", refuse)
    sources = [tiny_pipelines / "tiny", tiny_pipelines / "tiny-dit"]
    with pytest.raises(ExportError, match="would refuse"):
        export_pipelines(sources, out, silent, names=["segmenter"])
    assert (out / "pipeline.json").read_bytes() == before
    assert list(tmp_path.iterdir()) == [out]


def test_trying_what_is_no_repository_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["try", "--out", str(tmp_path)]) == 1
    assert "pipeline.json is not there" in capsys.readouterr().err


@pytest.mark.full
def test_trying_says_why_a_cluster_does_not_start(
    triton_repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = without_optional_roles(triton_repository, tmp_path)
    content = json.loads((bare / "pipeline.json").read_text())
    content["models"]["denoiser"]["files"]["1/model.onnx"] = "sha256:another"
    (bare / "pipeline.json").write_text(json.dumps(content))
    assert main(["try", "--out", str(bare)]) == 1
    printed = " ".join(capsys.readouterr().err.split())
    assert "the cluster did not start" in printed
    assert "denoiser/1/model.onnx has sha256:" in printed


@pytest.mark.full
def test_trying_makes_a_picture_and_stops_the_cluster(
    tiny_repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "picture.png"
    assert main(["try", "--out", str(tiny_repository), "--steps", "2", "--picture", str(picture)]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "picture.png: made in" in capsys.readouterr().err
    assert main(["try", "--out", str(tiny_repository), "--pipeline", "huge"]) == 1
    assert "There is no pipeline 'huge'; there are tiny, tiny-dit." in capsys.readouterr().err

"""Adapters that tasks get without being named: how the command line gives them, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from export import adapters
from export.adapters import AdapterSelection, LoraRef
from export.errors import BadFolderError, ExportError
from export.own_adapters import own_task_adapters, with_own
from export.plan import plan_repository
from export.source import PipelineFolder, open_folder
from export.survey import survey_adapters
from export.task_adapters import combined, expect_in_banks, kept, read_options
from tests.export import loras, tiny

PIPELINES = ("one", "two")
CHOSEN = {"one": {"fill": {"holes": 1.0, "ink": 0.5}}}


def test_options_name_pipelines_tasks_and_weights() -> None:
    texts = ["fill=holes", "two:expand=borders:0.5", "fill=ink:-1", "fill=holes:0.25"]
    assert read_options(texts, PIPELINES) == {
        "one": {"fill": {"holes": 0.25, "ink": -1.0}},
        "two": {"expand": {"borders": 0.5}},
    }
    assert read_options([], PIPELINES) == {}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("fill", "is not"),
        ("fill=holes:much", "the weight is no number"),
        ("fill=holes:nan", "the weight is no number"),
        ("three:fill=holes", "the pipeline 'three'; there are one, two"),
        ("paint=holes", "the task 'paint'; the tasks that a denoiser samples are background"),
        ("upscale=sharp", "the task 'upscale'"),
    ],
)
def test_what_is_no_task_adapter_is_refused(text: str, fault: str) -> None:
    with pytest.raises(ExportError, match=fault):
        read_options([text], PIPELINES)


def test_adapters_must_be_in_the_bank_and_fit_into_a_row() -> None:
    denoisers = {"one": "denoiser"}
    expect_in_banks(CHOSEN, denoisers, {"denoiser": (["holes", "ink"], 2)})
    with pytest.raises(ExportError, match="one has no adapter ink for fill; add --adapter ink=PATH"):
        expect_in_banks(CHOSEN, denoisers, {"denoiser": (["holes"], 2)})
    with pytest.raises(ExportError, match="fill has 2 adapters, a row of one takes 1"):
        expect_in_banks(CHOSEN, denoisers, {"denoiser": (["holes", "ink"], 1)})
    with pytest.raises(ExportError, match="one has no adapter holes"):
        expect_in_banks(CHOSEN, denoisers, {})


def test_those_of_a_denoiser_that_is_not_exported_again_are_kept() -> None:
    entry = {"components": {"denoiser": "denoiser"}, "task_adapters": {"fill": {"holes": 1.0}}}
    document = {"pipelines": {"one": entry, "two": {"components": {"denoiser": "other"}}}}
    assert kept(document, ["denoiser", "other"]) == {"one": {"fill": {"holes": 1.0}}}
    assert kept(document, ["other"]) == {}
    assert kept({}, ["denoiser"]) == {}


def test_of_several_sources_the_last_one_counts_for_a_task() -> None:
    own, later = {"one": {"fill": {"holes": 1.0}, "vary": {"ink": 1.0}}}, {"one": {"fill": {"holes": 0.5}}, "two": {}}
    assert combined(own, later) == {"one": {"fill": {"holes": 0.5}, "vary": {"ink": 1.0}}, "two": {}}


@pytest.fixture
def folder(tiny_pipelines: Path, tmp_path: Path) -> Path:
    """A pipeline folder and, beside it, a LoRA of its denoiser."""
    path = Path(shutil.copytree(tiny_pipelines / tiny.NAMES[0], tmp_path / "one"))
    shapes = dict(list(adapters.layer_shapes(tiny.source(tiny_pipelines, "denoiser")).items())[:2])
    (tmp_path / "lora").mkdir()
    loras.write_peft(tmp_path / "lora" / "holes.safetensors", loras.random_lora(shapes, 2, seed=1), shapes)
    return path


def declare(folder: Path, **settings: Any) -> PipelineFolder:
    """The folder, with these settings more in its `backdrop.json`."""
    path = folder / "backdrop.json"
    own = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**own, **settings}))
    return open_folder(folder)


OWN = {"adapters": {"holes": "../lora/holes.safetensors"}, "task_adapters": {"fill": {"holes": 0.5}}}


def test_a_folder_brings_its_adapters_along(folder: Path) -> None:
    opened = declare(folder, **OWN)
    assert own_task_adapters([opened]) == {"one": {"fill": {"holes": 0.5}}}
    selection = with_own(None, [opened], "one")
    assert selection is not None
    (ref,) = selection.adapters
    assert (ref.name, ref.pipeline, ref.path.resolve()) == (
        "holes",
        "one",
        folder.parent / "lora" / "holes.safetensors",
    )
    assert [problem for _, problem in survey_adapters([folder], None)] == [""]


def test_a_folder_s_adapters_have_rows_and_slots_of_their_own(folder: Path) -> None:
    plan = plan_repository([declare(folder, **OWN)], None)
    asked = [LoraRef(name, folder.parent / "lora" / "holes.safetensors") for name in ("one", "two")]
    for refs, slots, expected in (((), None, (5, 4)), (asked, 1, (3, 2)), (asked, None, (3, 3))):
        capacity = len(refs) or 4
        selection = with_own(AdapterSelection(tuple(refs), capacity, slots=slots), plan.pipelines, "one")
        assert selection is not None
        (bank,) = adapters.open_banks(plan, selection).values()
        assert [ref.name for ref, _ in bank.adapters] == ["holes", *(ref.name for ref in refs)]
        assert (bank.capacity, bank.slots) == expected


def test_the_command_line_replaces_a_folder_s_adapter_and_adds_others(folder: Path) -> None:
    asked = AdapterSelection((LoraRef("holes", Path("other")), LoraRef("ink", Path("ink"))), slots=2)
    selection = with_own(asked, [declare(folder, **OWN)], "one")
    assert selection == asked
    other = with_own(AdapterSelection((LoraRef("holes", Path("other"), "two"),)), [declare(folder, **OWN)], "one")
    assert other is not None
    assert [(ref.name, ref.pipeline) for ref in other.adapters] == [("holes", "one"), ("holes", "two")]


def variant(folder: Path, **settings: Any) -> PipelineFolder:
    """A folder "two" that shares all components of `folder`, with these settings."""
    (folder.parent / "two").mkdir()
    (folder.parent / "two" / "model_index.json").write_text("{}")
    return declare(folder.parent / "two", shares="../one", **settings)


def test_pipelines_that_share_a_denoiser_share_its_bank(folder: Path) -> None:
    files = {name: f"../lora/{name}.safetensors" for name in ("holes", "ink")}
    shutil.copy(folder.parent / "lora" / "holes.safetensors", folder.parent / "lora" / "ink.safetensors")
    weights = {"fill": {"holes": 1.0, "ink": 1.0}}
    plan = plan_repository([declare(folder, **OWN), variant(folder, adapters=files, task_adapters=weights)], None)
    selection = with_own(AdapterSelection((), slots=1), plan.pipelines, "one")
    assert selection is not None
    banks = adapters.open_banks(plan, selection)
    assert [ref.name for ref, _ in banks["denoiser"].adapters] == ["holes", "ink"]
    assert (len(banks), banks["denoiser"].slots) == (1, 3)
    instead = LoraRef("holes", folder.parent / "lora" / "ink.safetensors")
    selection = with_own(AdapterSelection((instead,)), plan.pipelines, "one")
    assert selection is not None
    refs = [ref for ref, _ in adapters.open_banks(plan, selection)["denoiser"].adapters]
    assert [(ref.name, ref.path.name) for ref in refs] == [("holes", "ink.safetensors"), ("ink", "ink.safetensors")]


def test_pipelines_that_share_a_denoiser_cannot_give_one_name_to_two_files(folder: Path) -> None:
    shutil.copy(folder.parent / "lora" / "holes.safetensors", folder.parent / "lora" / "other.safetensors")
    other = variant(folder, adapters={"holes": "../lora/other.safetensors"})
    plan = plan_repository([declare(folder, **OWN), other], None)
    selection = with_own(None, plan.pipelines, "one")
    assert selection is not None
    with pytest.raises(ExportError, match="Two adapters of two are called holes"):
        adapters.open_banks(plan, selection)


def test_a_folder_without_adapters_gets_no_bank(folder: Path) -> None:
    opened = open_folder(folder)
    assert with_own(None, [opened], "one") is None
    assert own_task_adapters([opened]) == {}


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"adapters": {"holes": 3}}, "backdrop.json: adapters is .*; it must be an object of names and paths"),
        ({"task_adapters": {"fill": ["holes"]}}, "task_adapters is .*; it must be an object of tasks"),
        ({"task_adapters": {"fill": {"holes": "much"}}}, "task_adapters is .*; it must be an object of tasks"),
    ],
)
def test_what_is_no_adapter_of_a_folder_is_refused(folder: Path, settings: dict[str, Any], fault: str) -> None:
    with pytest.raises(BadFolderError, match=fault):
        declare(folder, **settings)


@pytest.mark.parametrize(
    ("tasks", "fault"),
    [
        ({"paint": {"holes": 1.0}}, "one/backdrop.json: task_adapters has the task 'paint'; the tasks"),
        ({"fill": {"ink": 1.0}}, "one/backdrop.json: task_adapters has 'ink', which is not among its adapters"),
    ],
)
def test_tasks_and_names_of_a_folder_s_adapters_are_checked(folder: Path, tasks: Any, fault: str) -> None:
    with pytest.raises(BadFolderError, match=fault):
        own_task_adapters([declare(folder, **{**OWN, "task_adapters": tasks})])

"""Adapters that tasks get without being named: how the command line gives them, and what is refused."""

from __future__ import annotations

import pytest

from export.errors import ExportError
from export.task_adapters import expect_in_banks, kept, read_options

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

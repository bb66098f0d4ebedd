"""Broken inputs of every kind: read, or refused by an error of ours; the figure counts all, this test a part."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from bench.field_raw import KINDS, count
from tests.field.raw import pipelines
from tests.field.raw.cases import REFUSED, Case, outcome

QUICK = {
    "LoRA files and folders": 12,
    "tokenizer folders": 6,
    "values of pipeline.json": 25,
    "values of the environment": 5,
}
"""Every so many-th case of the kinds that need no pipeline folder."""


@pytest.mark.row("settings")
@pytest.mark.parametrize("kind", QUICK)
def test_broken_inputs_are_read_or_refused(kind: str, tmp_path: Path) -> None:
    counts, raw = count(itertools.islice(KINDS[kind](tmp_path), 0, None, QUICK[kind]))
    assert raw == []
    assert counts[REFUSED] > 100


@pytest.mark.full
def test_broken_pipeline_folders_are_read_or_refused(tiny_folders: Path, tmp_path: Path) -> None:
    counts, raw = count(itertools.islice(pipelines.cases(tmp_path / "spoilt", tiny_folders), 0, None, 7))
    assert raw == []
    assert counts[REFUSED] > 100


@pytest.fixture(scope="module")
def tiny_folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.export import tiny

    return tiny.pipelines(tmp_path_factory)


@pytest.mark.parametrize(
    ("problem", "expected"),
    [(KeyError("x"), "KeyError('x')"), (ValueError("a sentence"), REFUSED), (ValueError(""), "refused by ''")],
)
def test_an_exception_of_another_class_is_counted(problem: Exception, expected: str) -> None:
    def call() -> None:
        raise problem

    assert outcome(Case("x", call, (ValueError,))) == expected

"""Examples of the command line, in the help and in the docs: each runs against the fake, on the sample pictures."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from typer.testing import CliRunner

import backdrop
from backdrop._cli.examples import EXAMPLES
from backdrop._cli.task_command import name_of
from backdrop.cli import app
from backdrop.tasks import TASKS
from backdrop.testing import FakeBackdrop
from bench.figures import ROOT
from tests.fenced import commands, page_commands

SAMPLES = ROOT / "examples"
COMMANDS = {name_of(task): name for name, task in TASKS.items()}
ELSEWHERE = {"gallery.md", "export.md"}
"""The gallery shows the examples of the help, with seeds; the tour of the export needs the pipelines of its reader."""
PAGES = [ROOT / "README.md", *sorted(path for path in (ROOT / "docs").glob("*.md") if path.name not in ELSEWHERE)]


def documented() -> dict[str, list[str]]:
    """The commands of tasks in the docs, each once; the docs of the options repeat the help."""
    lines = [words[1:] for page in PAGES for words in page_commands(page) if words[:1] == ["backdrop"]]
    return {shlex.join(words): words for words in lines if words[0] in {*COMMANDS, "generate"}}


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeBackdrop]:
    with FakeBackdrop() as fake:
        yield fake


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the samples, from which paths from the checkout's root lead to them too."""
    folder = tmp_path_factory.mktemp("examples")
    (folder / "examples").symlink_to(SAMPLES)
    for sample in SAMPLES.iterdir():
        (folder / sample.name).symlink_to(sample)
    return folder


def run(*words: str, env: dict[str, str] | None = None) -> str:
    result = CliRunner().invoke(app, words, env=env)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize("words", documented().values(), ids=lambda words: " ".join(words)[:60])
def test_a_command_of_the_docs_runs(
    words: list[str], fake: FakeBackdrop, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    out = folder / "pictures"
    shutil.rmtree(out, ignore_errors=True)
    run(*words, "--endpoint", fake.endpoint, "--out", str(out))
    assert fake.requests[-1].WhichOneof("task") == COMMANDS.get(words[0], "background")
    assert list(out.glob("1.*"))


@pytest.mark.parametrize("task", TASKS)
def test_the_help_of_a_task_ends_with_its_examples(task: str) -> None:
    shown = run(name_of(TASKS[task]), "--help", env={"COLUMNS": "60"})
    described = commands(shown[shown.index("Examples") :].partition(":\n")[2])
    assert described == [words for example in EXAMPLES[task] for words in commands(example.command)]
    assert {words[1] for words in described} == {name_of(TASKS[task])}
    run_by_the_docs = documented()
    assert all(shlex.join(words[1:]) in run_by_the_docs for words in described), "run `make docs`"


def test_samples_are_those_that_examples_name() -> None:
    text = "".join(example.command for examples in EXAMPLES.values() for example in examples)
    named = {*re.findall(r"\w+\.png", text), "photo.png", "campaign.jsonl"}
    assert named == {sample.name for sample in SAMPLES.iterdir()}


def test_a_shell_completes_flags_and_values() -> None:
    for typed, expected in (("backdrop era", "erase"), ("backdrop fill --ma", "--mask")):
        output = io.StringIO()
        env = {"_BACKDROP_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split()) - 1)}
        with (
            mock.patch.dict(os.environ, env),
            mock.patch.object(sys, "argv", ["backdrop"]),
            contextlib.redirect_stdout(output),
            contextlib.suppress(SystemExit),
        ):
            app(prog_name="backdrop")
        assert output.getvalue().split() == [expected]


def test_a_flag_that_the_task_does_not_take_is_refused_by_its_name(fake: FakeBackdrop, tmp_path: Path) -> None:
    words = ["erase", "--picture", str(SAMPLES / "picture.png"), "--mask", str(SAMPLES / "picture_mask.png")]
    words += ["--prompt", "a lake", "--endpoint", fake.endpoint, "--out", str(tmp_path)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert " ".join(result.stderr.split()) == "Error: --prompt is not a field that erase takes; leave it out."


def test_the_old_name_of_the_background_command_still_works(fake: FakeBackdrop, tmp_path: Path) -> None:
    words = ["generate", "--product", str(SAMPLES / "product.png"), "--size", "64x64", "--endpoint", fake.endpoint]
    run(*words, "--out", str(tmp_path))
    assert fake.requests[-1].WhichOneof("task") == "background"
    assert "generate" not in run("--help")
    assert backdrop.Background.name in run("--help")

"""Commands in the docs: every flag is one that the real parsers know."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import typer

import export.command
import export.engines.__main__
import local.__main__
from backdrop.cli import app
from bench.figures import ROOT
from tests.fenced import page_commands
from tests.test_docs import PAGES


def parse_cli(group: Any, words: Sequence[str]) -> list[str]:
    """Parses the command line of a group of commands without running it; returns what the command passes on."""
    name, *rest = words
    return list(group.commands[name].make_context(name, rest).args)


def parse_backdrop(words: Sequence[str]) -> None:
    """`backdrop up` passes unknown flags on to the cluster."""
    if rest := parse_cli(typer.main.get_command(app), words):
        assert words[0] == "up", rest
        local.__main__.parse(rest)


PARSERS: dict[tuple[str, ...], Callable[[list[str]], Any]] = {
    ("python", "-m", "export"): export.command.parse,
    ("python", "-m", "export.engines"): export.engines.__main__.parse,
    ("python", "-m", "local"): local.__main__.parse,
    ("backdrop",): parse_backdrop,
}
LINES = [
    pytest.param(words, id=f"{page.relative_to(ROOT)}: {' '.join(words)[:60]}")
    for page in PAGES
    for words in page_commands(page)
    if any(tuple(words[: len(start)]) == start for start in PARSERS)
]


def parse(words: list[str]) -> None:
    """Parses a command with the parser that would run it."""
    start = max((start for start in PARSERS if tuple(words[: len(start)]) == start), key=len)
    PARSERS[start](words[len(start) :])


@pytest.mark.parametrize("words", LINES)
def test_a_command_of_the_docs_has_flags_that_exist(words: list[str]) -> None:
    parse(words)


@pytest.mark.parametrize(
    "line",
    [
        "python -m export all --pipeline a --out b --no-such-flag",
        "python -m local --no-such-flag",
        "backdrop background --product a --no-such-flag",
        "backdrop up --no-such-flag",
    ],
)
def test_a_flag_that_does_not_exist_is_noticed(line: str) -> None:
    # argparse leaves with status 2, typer says it in its own exception.
    with pytest.raises(BaseException, match=r"no-such-flag|^2$"):
        parse(line.split())

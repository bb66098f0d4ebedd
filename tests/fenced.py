"""Fenced blocks of the docs, and the commands in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", flags=re.DOTALL | re.MULTILINE)


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """Language and content of each block of a page or a part of it, in their order."""
    for _, language, content in BLOCK.findall(text):
        yield language, content


def commands(content: str) -> list[list[str]]:
    """The commands of a block of shell, as words; a backslash continues a line, comments are left out."""
    lines = content.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def page_commands(page: Path) -> Iterator[list[str]]:
    """The commands of all blocks of shell on a page."""
    for language, content in blocks(page.read_text()):
        if language == "sh":
            yield from commands(content)

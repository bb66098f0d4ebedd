"""The table of promises in docs/reliability.md: each fault, what is promised, and the tests that show it."""

from __future__ import annotations

import re

from bench.figures import ROOT
from tests.faults.promises import PROMISES

_MARK = re.compile(r"mark\.promise\(\"([\w-]+)\"\)")


def promises_table(_: str = "") -> str:
    """The promises as Markdown."""
    files: dict[str, list[str]] = {name: [] for name in PROMISES}
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        for name in dict.fromkeys(_MARK.findall(file.read_text())):
            files[name].append(f"`{file.relative_to(ROOT)}`")
    lines = ["| fault | promise | shown by |", "|---|---|---|"]
    lines += [f"| {row.fault} | {row.promise} | {', '.join(files[name])} |" for name, row in PROMISES.items()]
    return "\n".join(lines) + "\n"

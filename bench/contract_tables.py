"""Tables of the contract for the docs: options and tasks, from the descriptions that SDK and command line use."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

from backdrop import Options
from backdrop._cli.task_command import examples_of, name_of
from backdrop._describe import Option, options_of
from backdrop._options import RequestOptions
from backdrop.contract.rules import TASKS as RULES
from backdrop.contract.rules import TaskRules
from backdrop.tasks import TASKS


def options_table(_: str = "") -> str:
    """The options that every task shares."""
    return _table(options_of(Options))


def fields_table(_: str = "") -> str:
    """Which of the shared fields each task takes: "yes", "needed", "or" (one of these), or nothing where it refuses."""
    names = list(TASKS)
    lines = ["| field | " + " | ".join(f"`{name}`" for name in names) + " |", "|---" * (len(names) + 1) + "|"]
    for option in options_of(RequestOptions).values():
        cells = (_taken(RULES[name], option.path) for name in names)
        lines.append(f"| `{option.path}` | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _taken(rules: TaskRules, path: str) -> str:
    if path in rules.refused:
        return ""
    if path in rules.required:
        return "needed"
    return "or" if any(path in each.split("|") for each in rules.required) else "yes"


def tasks_table(_: str = "") -> str:
    """A table for each task: its class, command and fields, and which options it needs or does not take."""
    parts = []
    for name, task in TASKS.items():
        rules = RULES[name]
        lines = [
            f"### `backdrop.{task.__name__}`",
            "",
            f"{inspect.getdoc(task)}",
            "",
            f"Command: `backdrop {name_of(task)}`.",
            "",
        ]
        for text, paths in (("Needs", rules.required), ("Does not take", rules.refused)):
            if paths:
                lines.append(f"{text} {', '.join(_either(path) for path in paths)}.")
        fields = options_of(task)
        if fields:
            lines += ["", _table(fields).rstrip()]
        lines += ["", "```sh", examples_of(name).rstrip(), "```"]
        parts.append("\n".join(lines).rstrip() + "\n")
    return "\n".join(parts)


def _either(paths: str) -> str:
    return " or ".join(f"`{path}`" for path in paths.split("|"))


def _table(options: Mapping[str, Option]) -> str:
    lines = ["| keyword | field | flag | meaning |", "|---|---|---|---|"]
    for name, option in options.items():
        flags = ", ".join(f"`{flag.name}`" for flag in option.flags)
        lines.append(f"| `{name}` | `{option.path}` | {flags} | {option.help} |")
    return "\n".join(lines) + "\n"

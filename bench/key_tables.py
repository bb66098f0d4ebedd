"""The tables of docs/inputs.md on configs and schedules, from the tables that the export reads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from export.keys.check import CLASSES, INDEX
from export.keys.encoders import PREPROCESSOR, TOKENIZERS
from export.keys.pipelines import MODEL_INDEX
from export.keys.rules import Needed, NoEffect, Only, Read, Rule, Served
from export.schedule.classes import CLASSES as SCHEDULERS
from export.schedule.classes import OF_BETAS, OF_FLOWS, OF_OTHER_KINDS


def scheduler_keys_table(_: str = "") -> str:
    """Every key of every served scheduler class; keys of the same decision share a row."""
    grouped: dict[tuple[str, str, str], list[str]] = {}
    for name, cls in SCHEDULERS.items():
        for key, (default, rule) in cls.keys.items():
            grouped.setdefault((key, value(default), decision(rule)), []).append(name.removesuffix("Scheduler"))
    rows = ((f"`{key}`", f"`{default}`", ", ".join(names), what) for (key, default, what), names in grouped.items())
    return table(("key", "default", "of", "decision"), sorted(rows))


def scheduler_classes_table(_: str = "") -> str:
    """What becomes of every scheduler class of diffusers."""
    served = ((f"`{name}`", f"served: `{cls.solver}`") for name, cls in SCHEDULERS.items())
    swapped = "refused, unless `backdrop.json` names a solver that walks its schedule"
    rows = [
        *served,
        (names(OF_BETAS + OF_FLOWS), swapped),
        (names(OF_OTHER_KINDS), "refused"),
        ("any other", "refused"),
    ]
    return table(("class", "decision"), rows)


def config_keys_table(_: str = "") -> str:
    """Every key of the other configs; keys of one class and decision share a row."""
    others = {"tokenizer_config.json": TOKENIZERS, "preprocessor_config.json": PREPROCESSOR, INDEX: MODEL_INDEX}
    every = {**CLASSES, **others}
    rows = []
    for name, keys in every.items():
        grouped: dict[str, list[str]] = {}
        for key, rule in keys.items():
            grouped.setdefault(decision(rule), []).append(key)
        rows += [(f"`{name}`", names(sorted(some)), what) for what, some in sorted(grouped.items())]
    return table(("config of", "keys", "decision"), rows)


def decision(rule: Rule) -> str:
    """A rule in words."""
    match rule:
        case Served(values):
            return f"served: {values}"
        case Read(by):
            return f"read by {by}"
        case Needed(values, default):
            return f"read by the export: {values.values}; `{value(default)}` if missing"
        case NoEffect(why):
            return f"without effect: {why}"
        case Only(neutral, why):
            return f"refused, unless {' or '.join(f'`{value(each)}`' for each in neutral)}: {why}"


def value(content: Any) -> str:
    """A value as JSON has it."""
    return json.dumps(content)


def names(some: Iterable[str]) -> str:
    """Names as code."""
    return ", ".join(f"`{name}`" for name in some)


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines) + "\n"


MAKERS: Mapping[str, Any] = {
    "scheduler-classes": scheduler_classes_table,
    "scheduler-keys": scheduler_keys_table,
    "config-keys": config_keys_table,
}

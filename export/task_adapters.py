"""A task's own adapters: which adapters of the bank the rows of a task get without being named by the request."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from export.errors import ExportError

Weights = Mapping[str, float]
"""Weights by the names of adapters."""
TaskAdapters = Mapping[str, Mapping[str, Weights]]
"""By pipeline and task."""
OPTION = "--task-adapter"
_FORM = re.compile(r"(?:(?P<pipeline>[\w.-]+):)?(?P<task>[a-z_]+)=(?P<name>[A-Za-z0-9][\w.-]*)(?::(?P<weight>.+))?")


def read_options(texts: Sequence[str], pipelines: Sequence[str]) -> dict[str, dict[str, dict[str, float]]]:
    """The task adapters of a command line, each written as [PIPELINE:]TASK=NAME[:WEIGHT].

    Args:
        texts: the values of the option.
        pipelines: the names of the pipelines; the first one is meant where none is named.

    Raises:
        ExportError: if one is not of this form, or there is no such pipeline or task.
    """
    if not texts:
        return {}
    chosen: dict[str, dict[str, dict[str, float]]] = {}
    for text in texts:
        match = _FORM.fullmatch(text)
        if match is None:
            raise ExportError(f"{OPTION} {text!r} is not [PIPELINE:]TASK=NAME[:WEIGHT].")
        pipeline, task = match["pipeline"] or pipelines[0], match["task"]
        if pipeline not in pipelines:
            raise ExportError(f"{OPTION} names the pipeline {pipeline!r}; there are {', '.join(pipelines)}.")
        if (problem := not_sampled(task)) is not None:
            raise ExportError(f"{OPTION} names {problem}")
        chosen.setdefault(pipeline, {}).setdefault(task, {})[match["name"]] = _weight(text, match["weight"])
    return chosen


def not_sampled(task: str) -> str | None:
    """The end of a sentence on a task that no denoiser samples, from "the task" on; None if one does."""
    # Imported here: what builds engines has no orchestrator.
    from orchestrator.tasks import ALL

    sampled = [name for name, each in ALL.items() if each.rules.sampled]
    if task in sampled:
        return None
    return f"the task {task!r}; the tasks that a denoiser samples are {', '.join(sampled)}."


def combined(*layers: TaskAdapters) -> dict[str, dict[str, Weights]]:
    """Task adapters of several sources; for one task of one pipeline, the last source counts."""
    return {
        pipeline: {task: weights for each in layers for task, weights in each.get(pipeline, {}).items()}
        for pipeline in dict.fromkeys(name for each in layers for name in each)
    }


def _weight(option: str, text: str | None) -> float:
    try:
        weight = 1.0 if text is None else float(text)
    except ValueError:
        weight = math.nan
    if not math.isfinite(weight):
        raise ExportError(f"{OPTION} {option!r}: the weight is no number.")
    return weight


def expect_in_banks(
    chosen: TaskAdapters, denoisers: Mapping[str, str], banks: Mapping[str, tuple[Collection[str], int]]
) -> None:
    """Checks that every denoiser has the adapters of its pipeline's tasks, and room for them in a row.

    Args:
        chosen: the task adapters.
        denoisers: the denoiser of each pipeline.
        banks: the names of the adapters of each denoiser, and its slots.

    Raises:
        ExportError: for the first one that is missing.
    """
    for pipeline, tasks in chosen.items():
        names, slots = banks.get(denoisers[pipeline], ((), 0))
        for task, weights in tasks.items():
            missing = [name for name in weights if name not in names]
            if missing:
                raise ExportError(
                    f"{OPTION}: {pipeline} has no adapter {missing[0]} for {task}; add --adapter {missing[0]}=PATH."
                )
            if len(weights) > slots:
                raise ExportError(f"{OPTION}: {task} has {len(weights)} adapters, a row of {pipeline} takes {slots}.")


def kept(document: Mapping[str, Any], models: Collection[str]) -> TaskAdapters:
    """Those of an earlier export whose denoisers are among the `models` that are kept as they are."""
    pipelines = document.get("pipelines", {})
    return {
        name: entry["task_adapters"]
        for name, entry in pipelines.items()
        if "task_adapters" in entry and entry["components"]["denoiser"] in models
    }

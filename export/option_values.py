"""What options of the command line that are written as NAME=VALUE mean: solvers and adapters."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from export.errors import ExportError
from export.schedule.classes import CLASS_OF

if TYPE_CHECKING:
    # Not imported at run time: it brings torch, and --help should not wait for torch.
    from export.adapters import AdapterSelection


def scheduler_choices(options: argparse.Namespace) -> dict[str, str]:
    """The default solvers that the command line names, by pipeline.

    Raises:
        ExportError: if one is no solver, or there is no pipeline of the name.
    """
    names = [folder.resolve().name for folder in options.pipelines]
    choices: dict[str, str] = {}
    # Those for every pipeline first: one for a single pipeline replaces it.
    for text in sorted(options.schedulers, key=lambda text: "=" in text):
        pipeline, _, solver = text.rpartition("=")
        if solver not in CLASS_OF:
            raise ExportError(f"--scheduler {text!r} is not one of {', '.join(CLASS_OF)}, nor PIPELINE=one of them.")
        if pipeline and pipeline not in names:
            raise ExportError(f"--scheduler names the pipeline {pipeline!r}; there are {', '.join(names)}.")
        choices |= dict.fromkeys([pipeline] if pipeline else names, solver)
    return choices


def adapter_selection(options: argparse.Namespace) -> AdapterSelection | None:
    """The adapters that the command line asks for.

    Raises:
        ExportError: if one is not written as NAME=PATH, or rows, rank or slots are not positive.
    """
    numbers = {"rows": options.adapter_rows, "rank": options.adapter_rank, "slots": options.adapter_slots}
    for option, number in numbers.items():
        if number is not None and number < 1:
            raise ExportError(f"--adapter-{option} {number} is not a positive number.")
    if not options.adapters and not any(numbers.values()):
        return None
    from export.adapters import CAPACITY, AdapterSelection, LoraRef

    refs = []
    for text in options.adapters:
        match = re.fullmatch(r"(?:([\w.-]+):)?([A-Za-z0-9][\w.-]*)=(.+)", text)
        if match is None:
            raise ExportError(f"--adapter {text!r} is not NAME=PATH or PIPELINE:NAME=PATH.")
        refs.append(LoraRef(match[2], Path(match[3]), match[1]))
    return AdapterSelection(
        adapters=tuple(refs),
        capacity=options.adapter_rows or CAPACITY,
        rank=options.adapter_rank,
        allow_partial=options.allow_partial,
        slots=options.adapter_slots,
    )

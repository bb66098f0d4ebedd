"""The schedule of a pipeline folder: the config of its scheduler, decided key by key, in the words of `pipeline.json`.

A solver other than the folder's own walks the schedule that diffusers' `from_config` would give its class: the keys
that the file holds, over that class's own defaults.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export.errors import BadFolderError
from export.reading import has_file, read_json
from export.schedule.classes import (
    AMENDED,
    CLASS_OF,
    CLASSES,
    DIFFUSION_SOLVERS,
    OF_BETAS,
    OF_FLOWS,
    OTHER_KEYS,
)
from export.schedule.values import FILE, differences, schedule_of, written

FLOW_SOLVERS, LCM_SOLVERS = ("flow_euler",), ("lcm",)


@dataclass(frozen=True)
class FolderSchedule:
    """How a folder's denoiser is sampled."""

    schedule: dict[str, Any]
    """As in `pipeline.json`."""
    solvers: tuple[str, ...]
    """The solvers that requests may choose."""
    default: str
    """The solver of the folder's own scheduler class, or the one that its `backdrop.json` chooses instead."""
    notes: tuple[str, ...] = ()
    """What a user should know, a sentence each."""


def read_schedule(folder: Path, chosen: str | None = None) -> FolderSchedule:
    """Reads a scheduler folder.

    Args:
        folder: Holds `scheduler_config.json`; `model_index.json` is read from the folder above.
        chosen: The default solver of the pipeline's `backdrop.json`; it stands in for a class that is not served.

    Raises:
        BadFolderError: with one sentence, if a key is unknown or has a value that is not served, or the class is not
            served and no other solver is chosen.
    """
    config = read_json(folder / Path(FILE).name)
    index = folder.parent / "model_index.json"
    pipeline = read_json(index).get("_class_name") if has_file(index) else None
    return schedule_of_config(config, pipeline, chosen)


def schedule_of_config(
    config: Mapping[str, Any], pipeline: str | None = None, chosen: str | None = None
) -> FolderSchedule:
    """The schedule of a scheduler's config; `pipeline` is diffusers' class of the pipeline. See `read_schedule`."""
    name = str(config.get("_class_name"))
    explicit = {key: value for key, value in config.items() if not key.startswith("_")}
    expect_known(explicit)
    amended = amendments(name, pipeline)
    # Where the file has a key, what the pipeline's class makes of it reaches other solvers too.
    explicit |= {key: value for key, value in amended.items() if key in explicit}
    solvers = candidates(name)
    own = CLASSES[name].solver if name in CLASSES else None
    try:
        if own is None:
            raise BadFolderError(f"{FILE} names the class {name}, which is not served.")
        return schedule_with(own, explicit | amended, explicit, solvers)
    except BadFolderError as error:
        if chosen in solvers and chosen != own:
            replaced = f"{error} {chosen} stands in for it, as {CLASS_OF[chosen]}.from_config."
            return schedule_with(chosen, explicit, explicit, tuple(each for each in solvers if each != own), replaced)
        raise BadFolderError(f"{error}{advice(solvers, own)}") from error


def expect_known(explicit: Mapping[str, Any]) -> None:
    """Refuses keys that no class of diffusers reads."""
    unknown = sorted(set(explicit) - OTHER_KEYS)
    if unknown:
        raise BadFolderError(
            f"{FILE} has the key {unknown[0]}, which no scheduler of diffusers reads: remove it, if it is not "
            "meant to change the schedule."
        )


def amendments(name: str, pipeline: str | None) -> dict[str, Any]:
    """What diffusers' class of the pipeline sets in its scheduler's config, among the keys that the scheduler has."""
    keys = CLASSES[name].keys if name in CLASSES else ()
    return {key: value for key, value in AMENDED.get(str(pipeline), {}).items() if key in keys}


def candidates(name: str) -> tuple[str, ...]:
    """The solvers for a folder whose scheduler is of this class."""
    if name in OF_FLOWS or name == CLASS_OF["flow_euler"]:
        return FLOW_SOLVERS
    if name == CLASS_OF["lcm"]:
        return LCM_SOLVERS
    if name == CLASS_OF["pndm"]:
        return (*DIFFUSION_SOLVERS, "pndm")
    return DIFFUSION_SOLVERS if name in CLASSES or name in OF_BETAS else ()


def advice(solvers: Sequence[str], own: str | None) -> str:
    """What to do about a scheduler that is not served."""
    others = [each for each in solvers if each != own]
    if not others:
        return f" Served are {', '.join(CLASSES)}." if own is None else ""
    return (
        f" Served are {', '.join(CLASSES)}. To walk this schedule with another solver, as diffusers' from_config does, "
        f"name one of {', '.join(others)}: --scheduler {others[0]}, or in backdrop.json "
        f'{{"defaults": {{"scheduler": "{others[0]}"}}}}.'
    )


def schedule_with(
    default: str, own: Mapping[str, Any], explicit: Mapping[str, Any], solvers: Sequence[str], *notes: str
) -> FolderSchedule:
    """The schedule whose common keys are those of the default solver; the others' own values come under `solvers`."""
    base = schedule_of(CLASSES[CLASS_OF[default]], own)
    served, sentences, differing = [], list(notes), {}
    for solver in solvers:
        if solver == default:
            served.append(solver)
            continue
        cls = CLASSES[CLASS_OF[solver]]
        try:
            values = schedule_of(cls, explicit)
        except BadFolderError as error:
            sentences.append(f"{solver} is not offered: {error}")
            continue
        served.append(solver)
        if values.get("clip_sample_range") is not None and "clip_sample" not in explicit:
            sentences.append(
                f"{solver} clips its estimates at ±{values['clip_sample_range']:g}, as {CLASS_OF[solver]}.from_config "
                f'does: {FILE} lacks "clip_sample": false.'
            )
        own_values = differences(values, base)
        if own_values:
            differing[solver] = own_values
    return FolderSchedule(written(base, differing), tuple(served), default, tuple(sentences))

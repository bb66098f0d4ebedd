"""Checks that the store has the engines that this node needs; if not, says what it has and how to build them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from export.engines.builds import models_of, sound
from export.engines.identity import FACTS, EngineTarget, Identity, read_facts
from export.errors import ExportError

NAMES = {
    "digest": "graph",
    "precision": "precision",
    "shapes": "shapes",
    "builder": "runtime",
    "version": "TensorRT version",
    "compute_capability": "compute capability",
    "gpu": "GPU",
    "driver": "driver",
}


class WrongEngineError(ExportError):
    """The store has no engine that this node may load."""


def check_engines(
    repository: Path, store: Path, target: EngineTarget, models: Collection[str] = ()
) -> dict[str, Identity]:
    """The engine of every model of a repository, or of some, all of them in the store and whole.

    Raises:
        WrongEngineError: with the first that is not: what there is, how it differs, and the command that builds it.
    """
    identities = {}
    for name, entry in models_of(repository, models).items():
        needed = Identity.of(name, entry, target)
        if not sound(store, needed):
            raise WrongEngineError(refusal(needed, repository, store))
        identities[name] = needed
    return identities


def refusal(needed: Identity, repository: Path, store: Path) -> str:
    """One sentence on what is wrong, with the command that builds the engine."""
    command = f"python -m export.engines build --repository {repository} --store {store} --builder {needed.builder}"
    if (store / needed.folder).exists():
        return f"{needed.component}: its engine in {store / needed.folder} is damaged; build it again: {command}"
    others = [differences(needed, folder) for folder in sorted((store / needed.component).glob(f"*/*/*/{FACTS}"))]
    nearest = min((other for other in others if other), key=len, default=None)
    if nearest is None:
        return f"{needed.component}: there is no engine of it in {store}; build it here: {command}"
    listed = "; ".join(f"{NAMES[key]} {theirs}, this node needs {ours}" for key, (theirs, ours) in nearest.items())
    return f"{needed.component}: the engine in {store} is for another node ({listed}); build it here: {command}"


def differences(needed: Identity, facts: Path) -> Mapping[str, tuple[Any, Any]]:
    """How a stored engine differs from the needed one, by field: the stored value and the needed one."""
    try:
        there = asdict(read_facts(facts.parent)[0])
    except ExportError:
        return {}
    return {key: (there[key], value) for key, value in asdict(needed).items() if there[key] != value}

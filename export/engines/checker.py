"""Whether the store has the engines that this node needs; if not, what is there instead, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from export.engines.builds import models_of, sound
from export.engines.identity import FACTS, Identity, Where, read_facts
from export.errors import ExportError

NAMES = {
    "digest": "graph",
    "precision": "precision",
    "shapes": "shapes",
    "builder": "runtime",
    "version": "TensorRT version",
    "compute_capability": "compute capability",
}


class WrongEngineError(ExportError):
    """The store has no engine that this node may load."""


def check_engines(repository: Path, store: Path, where: Where) -> dict[str, Identity]:
    """The engine of every model of a repository, all of them in the store and whole.

    Raises:
        WrongEngineError: with the first that is not: what there is, how it differs, and the command that builds it.
    """
    found = {}
    for name, entry in models_of(repository).items():
        wanted = Identity.of(name, entry, where)
        if not sound(store, wanted):
            raise WrongEngineError(refusal(wanted, repository, store))
        found[name] = wanted
    return found


def refusal(wanted: Identity, repository: Path, store: Path) -> str:
    """One sentence on what is wrong, and the command that makes it right."""
    command = f"python -m export.engines build --repository {repository} --store {store} --builder {wanted.builder}"
    if (store / wanted.folder).exists():
        return f"{wanted.component}: its engine in {store / wanted.folder} is damaged; build it again: {command}"
    others = [others_of(wanted, folder) for folder in sorted((store / wanted.component).glob(f"*/*/*/{FACTS}"))]
    nearest = min((other for other in others if other), key=len, default=None)
    if nearest is None:
        return f"{wanted.component}: there is no engine of it in {store}; build it here: {command}"
    differences = "; ".join(f"{NAMES[key]} {theirs}, this node needs {ours}" for key, (theirs, ours) in nearest.items())
    return f"{wanted.component}: the engine in {store} is for another node ({differences}); build it here: {command}"


def others_of(wanted: Identity, facts: Path) -> Mapping[str, tuple[Any, Any]]:
    """How an engine that is there differs from the one that is wanted, by field: what it has, what it should have."""
    try:
        there = asdict(read_facts(facts.parent)[0])
    except ExportError:
        return {}
    return {key: (there[key], value) for key, value in asdict(wanted).items() if there[key] != value}

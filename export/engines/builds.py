"""Engines of a repository's models in a shared store: each is built by one process, and never seen half written."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from export.engines.identity import FACTS, EngineTarget, Identity, facts, read_facts
from export.engines.seam import BuildOptions, Tensorrt
from export.errors import ExportError
from export.files import digest, partial
from export.progress import Progress
from export.repository import read_pipelines
from export.store import write_whole


@dataclass(frozen=True)
class Engine:
    """One engine in the store."""

    model: str
    identity: Identity
    path: Path
    seconds: float
    """What building took; 0 where the store had it."""
    size: int
    """Bytes."""


def models_of(repository: Path, names: Collection[str] = ()) -> dict[str, Any]:
    """The entries of a repository's models, or of those that are named.

    Raises:
        ExportError: if it is none, or has no model of a name.
    """
    models: dict[str, Any] = read_pipelines(repository).get("models", {})
    if not models:
        raise ExportError(f"{repository} has no pipeline.json: it is not a repository yet.")
    if unknown := sorted(set(names) - models.keys()):
        raise ExportError(f"{repository} has no model {unknown[0]}; it has {', '.join(sorted(models))}.")
    return {name: entry for name, entry in models.items() if not names or name in names}


def sound(store: Path, identity: Identity) -> bool:
    """Whether the store has this engine, whole."""
    try:
        stored, mark = read_facts(store / identity.folder)
        return stored == identity and digest(store / identity.file) == mark
    except (ExportError, OSError):
        return False


def build_all(
    repository: Path,
    store: Path,
    builder: Tensorrt,
    target: EngineTarget,
    options: BuildOptions,
    progress: Progress,
    models: Collection[str] = (),
) -> list[Engine]:
    """Builds what the store has not yet.

    Args:
        repository: Exported with `--target tensorrt`.
        store: A folder that nodes may share. Each engine has a lock of its own: of several nodes that start at once,
            one builds, and the others first build what nobody builds yet.
        builder: tensorrt or tensorrt_rtx.
        target: What the engines are built by and for.
        options: Compatibility and timing cache.
        progress: Told what is going on.
        models: Names of the models to build; empty = all.

    Raises:
        ExportError: if a graph cannot be built.
    """
    entries, options = models_of(repository, models), options.on(target)
    identities = {name: Identity.of(name, entry, target) for name, entry in entries.items()}

    def build(name: str, wait: bool) -> float:
        graph, profiles = repository / name / entries[name]["version"] / "model.onnx", entries[name]["profiles"]
        return build_once(graph, profiles, store, identities[name], builder, options, progress, wait=wait)

    seconds: dict[str, float] = {}
    for name in entries:
        with contextlib.suppress(Timeout):
            seconds[name] = build(name, wait=False)
    for name in entries.keys() - seconds.keys():
        progress(name, "waiting for another process that builds it")
        seconds[name] = build(name, wait=True)
    paths = {name: store / identity.file for name, identity in identities.items()}
    return [Engine(name, identities[name], paths[name], seconds[name], paths[name].stat().st_size) for name in entries]


def build_once(
    graph: Path,
    profiles: Any,
    store: Path,
    identity: Identity,
    builder: Tensorrt,
    options: BuildOptions,
    progress: Progress,
    *,
    wait: bool = True,
) -> float:
    """Builds one engine unless it is there; returns the seconds it took, 0 where it was.

    Raises:
        Timeout: another process builds it, and `wait` is false.
        ExportError: the graph cannot be built.
    """
    name, folder = identity.component, store / identity.folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock", timeout=-1 if wait else 0):
        if sound(store, identity):
            progress(name, "there already")
            return 0.0
        progress(name, f"building with {identity.builder} {builder.version}")
        started = time.monotonic()
        engine = builder.build(graph, profiles, options)
        seconds = time.monotonic() - started
        making = partial(folder)
        making.mkdir()
        (making / identity.file.name).write_bytes(engine)
        write_whole(making / FACTS, facts(identity, digest(making / identity.file.name), seconds))
        # A sound engine would have been used, so only a damaged one can be here.
        shutil.rmtree(folder, ignore_errors=True)
        making.rename(folder)
        progress(name, f"built in {seconds:.1f} s")
        return seconds

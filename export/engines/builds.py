"""Engines of a repository's models in a shared store: each is built by one process, and never seen half written."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from export.engines.identity import FACTS, EngineTarget, Identity, facts, read_facts
from export.engines.seam import BuildOptions, Tensorrt
from export.errors import ExportError
from export.files import digest
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


def models_of(repository: Path) -> dict[str, Any]:
    """The entries of a repository's models.

    Raises:
        ExportError: if it is none.
    """
    models: dict[str, Any] = read_pipelines(repository).get("models", {})
    if not models:
        raise ExportError(f"{repository} has no pipeline.json: it is not a repository yet.")
    return models


def sound(store: Path, identity: Identity) -> bool:
    """Whether the store has this engine, whole."""
    try:
        stored, mark = read_facts(store / identity.folder)
        return stored == identity and digest(store / identity.file) == mark
    except (ExportError, OSError):
        return False


def build_all(
    repository: Path, store: Path, builder: Tensorrt, target: EngineTarget, options: BuildOptions, progress: Progress
) -> list[Engine]:
    """Builds what the store has not yet.

    Args:
        repository: Exported with `--target tensorrt`.
        store: A folder that nodes may share. Each engine has a lock of its own: of several nodes that start at once,
            one builds and the others wait for it.
        builder: tensorrt or tensorrt_rtx.
        target: What the engines are built by and for.
        options: Compatibility and timing cache.
        progress: Told what is going on.

    Raises:
        ExportError: if a graph cannot be built.
    """
    identities = {name: Identity.of(name, entry, target) for name, entry in models_of(repository).items()}
    engines = []
    for name, entry in models_of(repository).items():
        graph = repository / name / entry["version"] / "model.onnx"
        seconds = build_once(graph, entry["profiles"], store, identities[name], builder, options, progress)
        path = store / identities[name].file
        engines.append(Engine(name, identities[name], path, seconds, path.stat().st_size))
    return engines


def build_once(
    graph: Path,
    profiles: Any,
    store: Path,
    identity: Identity,
    builder: Tensorrt,
    options: BuildOptions,
    progress: Progress,
) -> float:
    """Builds one engine unless it is there; returns the seconds it took, 0 where it was."""
    name, folder = identity.component, store / identity.folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    progress(name, "waiting for another process that builds it")
    with FileLock(f"{folder}.lock"):
        if sound(store, identity):
            progress(name, "there already")
            return 0.0
        progress(name, f"building with {identity.builder} {builder.version}")
        started = time.monotonic()
        engine = builder.build(graph, profiles, options)
        seconds = time.monotonic() - started
        making = folder.with_name(f".{folder.name}.{os.getpid()}")
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir()
        (making / identity.file.name).write_bytes(engine)
        write_whole(making / FACTS, facts(identity, digest(making / identity.file.name), seconds))
        # A sound engine would have been used, so only a damaged one can be here.
        shutil.rmtree(folder, ignore_errors=True)
        making.rename(folder)
        progress(name, f"built in {seconds:.1f} s")
        return seconds

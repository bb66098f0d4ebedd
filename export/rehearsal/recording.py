"""A pipeline's rehearsal in torch: run at its first use, and kept in the work folder under a digest of its inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from export.files import partial
from export.plan import Model, RepositoryPlan
from export.progress import Progress
from export.reading import read_json
from export.rehearsal import examples
from export.rehearsal.examples import Example
from export.source import PipelineFolder
from export.store import Store, code, key, sha256
from export.walk.runner import Bytes

if TYPE_CHECKING:
    # Both bring torch, which is needed only where a rehearsal has to run.
    from export.walk.runner import Array, Runner, Tensors

MOST_CALLS = 6
"""Calls that are kept of a component, evenly spaced: of a denoiser, timesteps from the first to the last."""


@dataclass(frozen=True)
class RehearsalConfig:
    """How pipelines are rehearsed."""

    steps: int = 8
    """Denoising steps of each picture."""
    examples: tuple[Example, ...] = ()
    """The requests; empty for the ones that `examples.drawn` draws."""

    @cached_property
    def requests(self) -> tuple[Example, ...]:
        """The requests that are made."""
        return self.examples or examples.drawn()


@dataclass(frozen=True)
class Recording:
    """What a rehearsal in torch recorded."""

    calls: Mapping[str, Sequence[Tensors]]
    """The inputs of every component, by role."""
    pictures: tuple[Bytes, ...]
    """[H, W, 3], one an example."""


class Rehearsal:
    """The rehearsal of one pipeline."""

    def __init__(
        self,
        plan: RepositoryPlan,
        folder: PipelineFolder,
        config: RehearsalConfig,
        store: Store | None,
        progress: Progress,
    ) -> None:
        """Runs nothing yet."""
        self.folder = folder
        self.config = config
        self.models: dict[str, Model] = {role: plan.models[name] for role, name in plan.components(folder).items()}
        """By role."""
        self._store = store
        self._progress = progress

    @cached_property
    def key(self) -> str:
        """What identifies its recording."""
        return sha256(
            {
                "components": {role: key(model.source, "fp32") for role, model in self.models.items()},
                "scheduler": read_json(self.folder.scheduler / "scheduler_config.json"),
                "solver": self.folder.settings["defaults"]["scheduler"],
                "bucket": self.folder.settings["buckets"][0],
                "guidance": self.folder.settings["defaults"]["guidance_scale"],
                "text": [self.folder.text, list(self.folder.states)],
                "conventions": self.folder.conventions,
                "steps": self.config.steps,
                "examples": examples.digest(self.config.requests),
                "code": code(("rehearsal", "walk")),
            }
        )

    @cached_property
    def recording(self) -> Recording:
        """The recording; the first time, every component of the pipeline is loaded and run."""
        path = None if self._store is None else self._store.root / "rehearsals" / f"{self.key}.safetensors"
        if path is not None and (kept := read(path)) is not None:
            return kept
        from export.rehearsal.walks import walk_examples
        from export.walk.runner import opened
        from export.walk.runners import torch_runner

        calls: dict[str, list[Tensors]] = {}

        def hear(role: str, inputs: Mapping[str, Array]) -> None:
            calls.setdefault(role, []).append(dict(inputs))

        def open_role(role: str) -> AbstractContextManager[Runner]:
            self._progress(self.models[role].name, f"rehearsing {self.folder.name} in torch")
            return opened(lambda: torch_runner(self.models[role]))

        pictures = walk_examples(self.folder, self.config.requests, self.config.steps, open_role, hear)
        recording = Recording({role: thinned(some) for role, some in calls.items()}, pictures)
        if path is not None:
            write(path, recording)
        return recording


def thinned(calls: Sequence[Tensors]) -> list[Tensors]:
    """At most `MOST_CALLS`, evenly spaced, with the first and the last."""
    if len(calls) <= MOST_CALLS:
        return list(calls)
    return [calls[int(place)] for place in np.linspace(0, len(calls) - 1, MOST_CALLS)]


def write(path: Path, recording: Recording) -> None:
    """Keeps what was recorded; the file appears whole or not at all."""
    from safetensors.numpy import save_file

    tensors: dict[str, Array] = {f"picture/{index}": picture for index, picture in enumerate(recording.pictures)}
    for role, calls in recording.calls.items():
        for index, call in enumerate(calls):
            tensors |= {f"{role}/{index}/{name}": value for name, value in call.items()}
    # safetensors writes an array's memory as it lies, whatever its strides are.
    tensors = {name: np.ascontiguousarray(value) for name, value in tensors.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    making = partial(path)
    save_file(tensors, making)
    making.replace(path)


def read(path: Path) -> Recording | None:
    """What `write` kept; None where there is nothing, or nothing whole."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors = load_file(path)
    except (OSError, SafetensorError):
        return None
    calls: dict[str, dict[int, Tensors]] = {}
    pictures: dict[int, Bytes] = {}
    for name, value in tensors.items():
        role, _, rest = name.partition("/")
        if role == "picture":
            pictures[int(rest)] = value
            continue
        index, _, tensor = rest.partition("/")
        calls.setdefault(role, {}).setdefault(int(index), {})[tensor] = value
    return Recording(
        {role: [some[index] for index in sorted(some)] for role, some in calls.items()},
        tuple(pictures[index] for index in sorted(pictures)),
    )

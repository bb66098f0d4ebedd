"""One export from beginning to end: check the folder, export and verify every component, swap the repository in."""

from __future__ import annotations

import gc
import resource
import shutil
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from export import graph, parity, repository, tokenizer
from export.errors import ExportError
from export.models import COMPONENTS
from export.models.component import Component, Prepared, Size
from export.source import PipelineFolder, open_folder


@dataclass(frozen=True)
class Exported:
    """What became of one component."""

    role: str
    parameters: int
    bytes: int
    seconds: float
    peak_mib: float
    """Peak memory of the process so far: it never falls, so the last component's is the export's."""
    parity: parity.ComponentReport

    def to_json(self) -> dict[str, Any]:
        """The component's part of the report."""
        return {
            "role": self.role,
            "parameters": self.parameters,
            "bytes": self.bytes,
            "seconds": round(self.seconds, 2),
            "peak_mib": round(self.peak_mib, 1),
            "parity": self.parity.to_json(),
        }


Progress = Callable[[str, str], None]
"""Called with a component's role and what happens to it now."""


def peak_mib() -> float:
    """Peak resident memory of this process, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def parity_sizes(folder: PipelineFolder) -> tuple[Size, ...]:
    """A small size and the pipeline's first bucket."""
    height, width = folder.settings["buckets"][0]
    return parity.SMALL, Size(height, width, folder.configs["text_encoder_l"]["max_position_embeddings"])


def rounded(prepared: Prepared) -> float:
    """Rounds the weights in place and returns by how much that changed the outputs, relative to the largest value."""
    inputs = prepared.sample(1, parity.SMALL, torch.Generator().manual_seed(0))
    before = parity.torch_outputs(prepared.module, inputs)
    graph.round_weights(prepared.module)
    after = parity.torch_outputs(prepared.module, inputs)
    return max(parity.relative(old, new) for old, new in zip(before, after, strict=True))


def export_component(
    component: Component, folder: PipelineFolder, staging: Path, progress: Progress
) -> tuple[Exported, dict[str, Any]]:
    """Exports one component into `staging` and returns its report and its entry for `pipeline.json`.

    Raises:
        BadFolderError: if its weights or its tokenizer cannot be used.
        ExportError: if it cannot be traced.
        ParityError: if the graph does not compute what the module does.
    """
    started, role = time.monotonic(), component.role
    out = staging / role
    progress(role, "loading")
    if component.tokenizer is not None:
        tokenizer.convert(folder.path / component.tokenizer, folder.configs[role], out / "tokenizer.json")
    prepared = component.prepare(component.load(folder.path / component.folder))
    expect_heads(prepared, folder)
    rounding = rounded(prepared)
    progress(role, "tracing")
    size = graph.write(prepared, out / repository.VERSION / "model.onnx")
    progress(role, "comparing with torch")
    report = parity.measure(prepared, out / repository.VERSION / "model.onnx", parity_sizes(folder), rounding)
    parity.check(report)
    entry = repository.finish_model(out, prepared)
    parameters = sum(parameter.numel() for parameter in prepared.module.parameters())
    exported = Exported(role, parameters, size, time.monotonic() - started, peak_mib(), report)
    progress(role, "done")
    return exported, entry


def expect_heads(prepared: Prepared, folder: PipelineFolder) -> None:
    """The reward model must have as many heads as the pipeline has names for."""
    if prepared.role != "reward":
        return
    heads, names = prepared.outputs[0].dims[0], folder.settings["reward_heads"]
    if heads != len(names):
        raise ExportError(f"reward: the network has {heads} heads, reward_heads names {len(names)}.")


def export_pipeline(
    source: Path, out: Path, name: str, roles: Collection[str] | None, progress: Progress
) -> list[Exported]:
    """Exports a pipeline folder, or some of its components into a repository that has the others already.

    Args:
        source: The diffusers folder.
        out: The Triton repository; replaced as a whole, and only if everything succeeded.
        name: The pipeline's name in `pipeline.json`.
        roles: The components to export; None for all.
        progress: Told what is going on.

    Raises:
        ExportError: or one of its kinds, with one sentence for the person who started it.
    """
    wanted = list(COMPONENTS) if roles is None else [role for role in COMPONENTS if role in roles]
    unknown = sorted(set(roles or ()) - set(COMPONENTS))
    if unknown:
        raise ExportError(f"There is no component {unknown[0]!r}; there are {', '.join(COMPONENTS)}.")
    folder = open_folder(source)
    known = repository.read_pipelines(out)
    kept = {role: known.get("models", {}).get(role) for role in COMPONENTS if role not in wanted}
    missing = [role for role, entry in kept.items() if entry is None]
    if missing:
        raise ExportError(f"{out} has no {missing[0]} yet: export every component once, then single ones.")
    exported = []
    with repository.staged(out) as staging:
        models: dict[str, Any] = dict(kept)
        for role in kept:
            shutil.copytree(out / role, staging / role)
        for role in wanted:
            report, models[role] = export_component(COMPONENTS[role], folder, staging, progress)
            exported.append(report)
            # The module, its trace and the session of one component are of no use to the next.
            gc.collect()
        repository.write_pipelines(staging, name, folder, models)
    return exported

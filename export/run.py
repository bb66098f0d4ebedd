"""One export from beginning to end: check the folders, export and verify every model, swap the repository in."""

from __future__ import annotations

import gc
import resource
import shutil
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from export import adapters, graph, parity, repository, tokenizer
from export.errors import ExportError
from export.models.component import Axis, Prepared, Size
from export.plan import Model, Plan, make_plan
from export.source import open_folder


@dataclass(frozen=True)
class Exported:
    """What became of one model."""

    model: str
    parameters: int
    written: graph.Written
    seconds: float
    peak_mib: float
    """Peak memory of the process so far: it never falls, so the last model's is the export's."""
    parity: parity.ComponentReport

    def to_json(self) -> dict[str, Any]:
        """The model's part of the report."""
        return {
            "model": self.model,
            "parameters": self.parameters,
            "graph_bytes": self.written.graph,
            "weights_bytes": self.written.files,
            "referred_bytes": self.written.referred,
            "seconds": round(self.seconds, 2),
            "peak_mib": round(self.peak_mib, 1),
            "parity": self.parity.to_json(),
        }


Progress = Callable[[str, str], None]
"""Called with a model's name and what happens to it now."""


def peak_mib() -> float:
    """Peak resident memory of this process, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def parity_sizes(model: Model, prepared: Prepared) -> tuple[Size, ...]:
    """A small size, and every bucket of every pipeline that uses the model.

    A model without pictures among its inputs is measured once, with the longest prompt.
    """
    pictures = any(isinstance(axis, Axis) and axis.name == "height" for spec in prepared.inputs for axis in spec.shape)
    sizes = [
        Size(height, width, max(folder.text.values()))
        for folder in model.pipelines
        for height, width in folder.settings["buckets"]
    ]
    return tuple(dict.fromkeys([parity.SMALL, *(sizes if pictures else sizes[:1])]))


def rounded(prepared: Prepared) -> float:
    """Rounds the weights in place and returns by how much that changed the outputs, relative to the largest value."""
    inputs = prepared.sample(1, parity.SMALL, torch.Generator().manual_seed(0))
    before = parity.torch_outputs(prepared.module, inputs)
    graph.round_weights(prepared.module)
    after = parity.torch_outputs(prepared.module, inputs)
    return max(parity.relative(old, new) for old, new in zip(before, after, strict=True))


def export_model(
    model: Model, staging: Path, progress: Progress, served: Path, bank: adapters.Bank | None = None
) -> tuple[Exported, dict[str, Any]]:
    """Exports one model into `staging`, a denoiser with a bank of adapters if it is to have one.

    The repository that is `served` so far lends its graph where only the bank is another.

    Returns:
        Its report and its entry for `pipeline.json`.

    Raises:
        BadFolderError: if its weights or its tokenizer cannot be used.
        ExportError: if it cannot be traced.
        ParityError: if the graph does not compute what the module does.
    """
    started, name, source = time.monotonic(), model.name, model.source
    out = staging / name
    progress(name, "loading")
    if source.tokenizer is not None:
        text = model.pipelines[0].text
        length = text["t5_max_tokens" if model.role == "text_encoder_t5" else "max_tokens"]
        tokenizer.convert(source.tokenizer, source.config, length, out / "tokenizer.json")
    component = source.component
    network = component.load(source)
    prepared = replace(component.prepare(network), name=name)
    expect_heads(model, prepared)
    rounding = rounded(prepared)
    progress(name, "tracing")
    path = out / repository.VERSION / "model.onnx"
    if bank is None:
        written = graph.write(prepared, path, source.files)
    else:
        prepared, written = adapters.write(
            bank, network, prepared, path, source.files, served / name / repository.VERSION
        )
    progress(name, "comparing with torch")
    report = parity.measure(prepared, path, parity_sizes(model, prepared), rounding)
    parity.check(report)
    entry = repository.finish_model(out, prepared) | ({} if bank is None else {"adapters": bank.entry()})
    parameters = sum(parameter.numel() for parameter in prepared.module.parameters())
    exported = Exported(name, parameters, written, time.monotonic() - started, peak_mib(), report)
    progress(name, f"done in {exported.seconds:.1f} s")
    return exported, entry


def expect_heads(model: Model, prepared: Prepared) -> None:
    """The reward model must have as many heads as its pipelines have names for."""
    if model.role != "reward":
        return
    heads = prepared.outputs[0].dims[0]
    for folder in model.pipelines:
        names = folder.settings["reward_heads"]
        if heads != len(names):
            raise ExportError(
                f"reward: the network has {heads} heads, {folder.name}'s reward_heads names {len(names)}."
            )


def export_pipelines(
    sources: Sequence[Path],
    out: Path,
    progress: Progress,
    *,
    names: Collection[str] | None = None,
    default: str | None = None,
    wanted: adapters.Order | None = None,
) -> list[Exported]:
    """Exports pipeline folders, or some of their models into a repository that has the others already.

    Args:
        sources: The diffusers folders. A pipeline is called what its folder is; components that several folders share
            are exported once.
        out: The Triton repository; replaced as a whole, and only if everything succeeded.
        progress: Told what is going on.
        names: The models to export; None for all.
        default: The pipeline for requests that name none; None for the first.
        wanted: The adapters that denoisers get.

    Raises:
        ExportError: or one of its kinds, with one sentence for the person who started it.
    """
    plan = make_plan([open_folder(source) for source in sources], default)
    kept = kept_models(plan, out, names)
    banks = {} if wanted is None else adapters.open_banks(plan, wanted)
    for name in banks:
        if name in kept:
            raise ExportError(f"Adapters change {name}, which is not among the components to export.")
    exported = []
    with repository.staged(out) as staging:
        models: dict[str, Any] = dict(kept)
        for name in kept:
            shutil.copytree(out / name, staging / name)
        for name, model in plan.models.items():
            if name in kept:
                continue
            report, models[name] = export_model(model, staging, progress, out, banks.get(name))
            exported.append(report)
            # The module, its trace and the session of one component are of no use to the next.
            gc.collect()
        repository.write_pipelines(staging, plan, models)
    return exported


def kept_models(plan: Plan, out: Path, names: Collection[str] | None) -> dict[str, Any]:
    """The entries of the models that are not to be exported again.

    Raises:
        ExportError: if `names` has a stranger, or a model to be kept is not there yet.
    """
    unknown = sorted(set(names or ()) - set(plan.models))
    if unknown:
        raise ExportError(f"There is no component {unknown[0]!r}; there are {', '.join(plan.models)}.")
    known = repository.read_pipelines(out).get("models", {})
    kept = {name: known.get(name) for name in plan.models if names is not None and name not in names}
    missing = [name for name, entry in kept.items() if entry is None]
    if missing:
        raise ExportError(f"{out} has no {missing[0]} yet: export every component once, then single ones.")
    return kept

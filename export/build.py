"""Making one model with torch: load it, round it, trace it, compare the graph with it."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from diffusers.utils import logging as diffusers_logging
from torch import nn
from transformers.utils import logging as transformers_logging

from export import adapters, graph, parity, quantising
from export.contract import Contract, Size
from export.lowering import UNRUNNABLE, lower
from export.models import COMPONENTS
from export.models.component import Prepared
from export.plan import Model
from export.produce import SMALL, Progress, Wish
from export.rehearsal.scene import Tensors
from export.report import ComponentReport, Written


@dataclass(frozen=True)
class Loaded:
    """A model in memory, its weights rounded as they will be stored."""

    network: nn.Module
    prepared: Prepared
    rounding: float
    """By how much rounding changed the outputs, relative to the largest value."""

    @property
    def parameters(self) -> int:
        """How many numbers it has."""
        return sum(parameter.numel() for parameter in self.prepared.module.parameters())


def open_model(model: Model, bank: adapters.Bank | None = None) -> Loaded:
    """Loads a model, with its bank of adapters if it has one.

    Raises:
        BadFolderError: if its weights cannot be used.
    """
    quiet()
    component = COMPONENTS[model.source.kind.name]
    network = component.load(model.source)
    prepared = replace(component.prepare(network), name=model.name)
    rounding = rounded(prepared)
    if bank is not None:
        prepared = bank.attach(network, prepared)
        adapters.fill(network, bank.tensors())
    return Loaded(network, prepared, rounding)


def quiet() -> None:
    """Silences the libraries' progress bars and advice; what goes wrong still arrives as an exception."""
    libraries: tuple[Any, ...] = (diffusers_logging, transformers_logging)
    for library in libraries:
        library.set_verbosity_error()
        library.disable_progress_bar()


def rounded(prepared: Prepared) -> float:
    """Rounds the weights in place and returns by how much that changed the outputs, relative to the largest value."""
    inputs = prepared.sample(1, SMALL, torch.Generator().manual_seed(0))
    before = parity.torch_outputs(prepared.module, inputs)
    graph.round_weights(prepared.module)
    after = parity.torch_outputs(prepared.module, inputs)
    return max(parity.relative(old, new) for old, new in zip(before, after, strict=True))


def make(
    wish: Wish, path: Path, lenders: Sequence[Path], progress: Progress
) -> tuple[Contract, int, Written, ComponentReport | None]:
    """Makes the graph of a model and compares it.

    Args:
        wish: What is wanted.
        path: The graph to write; the weights that it reads come to lie beside it.
        lenders: Version folders of the same precision, whose graph will do where only the bank of adapters is another.
        progress: Told what is going on.

    Returns:
        Its contract, how many numbers it has, what was written, and the comparison if one was wanted.

    Raises:
        BadFolderError: if its weights cannot be used.
        ExportError: if it cannot be traced.
    """
    name, precision = wish.model.name, wish.precision
    # Before anything is loaded: a rehearsal has a model in memory at a time, and this would be another.
    calls = wish.calls()
    progress(name, "loading")
    loaded = open_model(wish.model, wish.bank)
    contract, parameters, files = loaded.prepared.contract, loaded.parameters, wish.model.source.files
    # Before the module is lowered or its adapters are exchanged: what it says now is what every graph is held to.
    cases = references(loaded, wish.sizes(contract), wish)
    lowered = lower(loaded.prepared, precision)
    if precision in UNRUNNABLE:
        cases = [case.lowered(lowered) for case in cases]
    progress(name, "tracing")
    if wish.bank is None:
        written = graph.write(lowered, path, files)
    else:
        written = adapters.write(wish.bank, loaded.network, lowered, path, files, lenders)
    if precision == "fp8":
        progress(name, "calibrating")
        written = quantised(loaded.prepared, path, calls, written)
    described, rounding = replace(loaded.prepared, module=nn.Identity()), loaded.rounding
    # The session takes as much memory again: two copies of a large model would not fit.
    del loaded, lowered
    gc.collect()
    if not cases:
        return contract, parameters, written, None
    progress(name, "comparing with torch")
    return contract, parameters, written, parity.compare(described, path, cases, rounding, precision)


def references(loaded: Loaded, sizes: Sequence[Size], wish: Wish) -> list[parity.Case]:
    """What the module makes of everything that is to be compared: random inputs at each size, and the real ones."""
    if not sizes:
        return []
    found = parity.references(loaded.prepared, sizes, wish.batches)
    return [*found, *parity.rehearsed(loaded.prepared, first_bucket(wish.model), wish.calls())]


def first_bucket(model: Model) -> Size:
    """The size at which a model's pipelines are rehearsed."""
    folder = model.pipelines[0]
    height, width = folder.settings["buckets"][0]
    return Size(height, width, max(folder.text.values()))


def quantised(prepared: Prepared, path: Path, calls: Sequence[Tensors], written: Written) -> Written:
    """Quantises a graph by a rehearsal's calls."""
    complete = [
        {
            spec.name: value.numpy()
            for spec, value in zip(
                prepared.inputs, parity.completed(prepared, len(next(iter(call.values()))), SMALL, call), strict=True
            )
        }
        for call in calls
    ]
    quantising.quantise(path, complete)
    return replace(written, graph=path.stat().st_size)


def compare_kept(wish: Wish, path: Path, sizes: Sequence[Size]) -> ComponentReport:
    """Compares a graph of an earlier export with its module."""
    wish.calls()
    loaded, precision = open_model(wish.model), wish.precision
    cases = references(loaded, sizes, wish)
    if precision in UNRUNNABLE:
        lowered = lower(loaded.prepared, precision)
        cases = [case.lowered(lowered) for case in cases]
        del lowered
    described, rounding = replace(loaded.prepared, module=nn.Identity()), loaded.rounding
    del loaded
    gc.collect()
    return parity.compare(described, path, cases, rounding, precision)

"""Making one model with torch: load it, round it, trace it, compare the graph with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from export import adapters, graph, parity
from export.contract import Size
from export.lowering import UNRUNNABLE, lower
from export.models import COMPONENTS
from export.models.component import Prepared
from export.plan import Model
from export.precision import Precision
from export.report import ComponentReport, Written

Progress = Callable[[str, str], None]
"""Called with a model's name and what happens to it now."""


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
    component = COMPONENTS[model.source.kind.name]
    network = component.load(model.source)
    prepared = replace(component.prepare(network), name=model.name)
    rounding = rounded(prepared)
    if bank is not None:
        prepared = bank.attach(network, prepared)
        adapters.fill(network, bank.tensors())
    return Loaded(network, prepared, rounding)


def rounded(prepared: Prepared) -> float:
    """Rounds the weights in place and returns by how much that changed the outputs, relative to the largest value."""
    inputs = prepared.sample(1, parity.SMALL, torch.Generator().manual_seed(0))
    before = parity.torch_outputs(prepared.module, inputs)
    graph.round_weights(prepared.module)
    after = parity.torch_outputs(prepared.module, inputs)
    return max(parity.relative(old, new) for old, new in zip(before, after, strict=True))


@dataclass(frozen=True)
class Making:
    """How one model is made."""

    model: Model
    path: Path
    """The graph to write; the weights it reads come to lie beside it."""
    precision: Precision
    sizes: Sequence[Size]
    """At which it is compared with torch; none, to leave that out."""
    bank: adapters.Bank | None = None
    served: Sequence[Path] = ()
    """Version folders of the same precision, whose graph will do where only the bank is another."""


def make(making: Making, loaded: Loaded, progress: Progress) -> tuple[Written, ComponentReport | None]:
    """Writes the graph of a loaded model and compares it; of the model, the description alone is any good afterwards.

    Raises:
        ExportError: if it cannot be traced.
    """
    name, prepared = making.model.name, loaded.prepared
    # Before the module is lowered or its adapters are exchanged: what it says now is what every graph is held to.
    cases = parity.references(prepared, making.sizes)
    lowered, files = lower(prepared, making.precision), making.model.source.files
    cases = [case.lowered(lowered) for case in cases] if making.precision in UNRUNNABLE else cases
    progress(name, "tracing")
    if making.bank is None:
        written = graph.write(lowered, making.path, files)
    else:
        written = adapters.write(making.bank, loaded.network, lowered, making.path, files, making.served)
    if not cases:
        return written, None
    progress(name, "comparing with torch")
    return written, parity.compare(prepared, making.path, cases, loaded.rounding, making.precision)


def compare_kept(model: Model, path: Path, precision: Precision, sizes: Sequence[Size]) -> ComponentReport:
    """Compares a graph of an earlier export with its module."""
    loaded = open_model(model)
    cases = parity.references(loaded.prepared, sizes)
    if precision in UNRUNNABLE:
        lowered = lower(loaded.prepared, precision)
        cases = [case.lowered(lowered) for case in cases]
    return parity.compare(loaded.prepared, path, cases, loaded.rounding, precision)

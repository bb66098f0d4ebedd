"""Building one model's graph with torch: load the model, take its outputs, trace it, compare the graph with them."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from torch import nn

from export import adapters, graph, parity, quantising, stored_files
from export.contract import SMALL, Size
from export.lowering import UNRUNNABLE, lower
from export.models.component import ComponentModule
from export.plan import Model
from export.progress import Progress, with_usual_time
from export.report import ComponentReport, DiskSizes
from export.spec import ExportSpec, ModelGraph
from export.torch_model import TorchModel, open_model
from export.tracing import Told
from export.walk.runner import Tensors


def build_graph(spec: ExportSpec, path: Path, lenders: Sequence[Path], progress: Progress) -> ModelGraph:
    """Builds the graph of a model and compares it.

    Args:
        spec: Which model, and how.
        path: The graph to write; the weights that it reads are written beside it.
        lenders: Version folders of the same precision; a graph of theirs is reused where only the bank of adapters
            differs.
        progress: Told what happens now.

    Raises:
        BadFolderError: if its weights cannot be used.
        ExportError: if it cannot be traced.
    """
    name, precision = spec.model.name, spec.precision
    # Before the model is loaded: a rehearsal holds one component in memory at a time, and this would be another.
    calls = spec.calls()
    progress(name, "loading")
    model = open_model(spec.model, spec.bank)
    contract, parameters = model.prepared.contract, model.parameters
    # Before weights are rounded, arithmetic is lowered or adapters are exchanged: every graph is compared with the
    # folder's own numbers in FP32.
    cases = reference_cases(model, spec.sizes(contract), spec)
    rounding = round_to_storage(model.prepared, cases, spec)
    lowered = lower(model.prepared, precision)
    if precision in UNRUNNABLE:
        cases = [case.lowered(lowered) for case in cases]

    tensors = len(lowered.module.state_dict())

    def tell(part: str) -> None:
        progress(name, f"tracing: {with_usual_time(part, tensors)}")

    disk = write_graph(spec, model.network, lowered, path, lenders, tell)
    if precision == "fp8":
        progress(name, "calibrating")
        disk = quantise(model.prepared, path, calls, disk)
    described = replace(model.prepared, module=nn.Identity())
    # The session takes as much memory again: two copies of a large model would not fit.
    del model, lowered
    gc.collect()
    report = None
    if cases:
        progress(name, "comparing with torch")
        report = parity.compare(described, path, cases, rounding, precision)
    return ModelGraph(contract, parameters, disk, report)


def write_graph(
    spec: ExportSpec, network: nn.Module, lowered: ComponentModule, path: Path, lenders: Sequence[Path], tell: Told
) -> DiskSizes:
    """Traces the module and writes its graph, with the weights beside it in the dtypes that they are stored in."""
    files = spec.model.source.files
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the graph's own folder: its file system has room for weights, the default temporary folder may not.
    with TemporaryDirectory(dir=path.parent) as folder:
        if spec.storage == "fp16":
            files = stored_files.rounded(files, Path(folder))
        if spec.bank is None:
            return graph.write(lowered, path, files, tell)
        return adapters.write(spec.bank, network, lowered, path, files, lenders, tell)


def reference_cases(model: TorchModel, sizes: Sequence[Size], spec: ExportSpec) -> list[parity.Case]:
    """What the module makes of everything that is to be compared: random inputs at each size, and the real ones."""
    if not sizes:
        return []
    random = parity.references(model.prepared, sizes, spec.batches)
    calls = spec.calls()
    return [*random, *(parity.rehearsed(model.prepared, first_bucket(spec.model), calls) if calls else ())]


def round_to_storage(prepared: ComponentModule, cases: Sequence[parity.Case], spec: ExportSpec) -> float:
    """Rounds the weights in place, if they are stored as fp16; returns how much that changes the outputs, relative."""
    if spec.storage == "source" or not graph.round_weights(prepared.module):
        return 0.0
    return max((case.change(prepared) for case in cases), default=0.0)


def first_bucket(model: Model) -> Size:
    """The size at which a model's pipelines are rehearsed."""
    folder = model.pipelines[0]
    height, width = folder.settings["buckets"][0]
    return Size(height, width, max(folder.text.values()))


def quantise(prepared: ComponentModule, path: Path, calls: Sequence[Tensors], disk: DiskSizes) -> DiskSizes:
    """Quantises a graph by a rehearsal's calls; returns the sizes on disk after it."""
    complete = []
    for call in calls:
        inputs = parity.completed(prepared, len(next(iter(call.values()))), SMALL, call)
        complete.append({spec.name: value.numpy() for spec, value in zip(prepared.inputs, inputs, strict=True)})
    quantising.quantise(path, complete)
    return replace(disk, graph=path.stat().st_size)


def compare_stored(spec: ExportSpec, path: Path, sizes: Sequence[Size]) -> ComponentReport:
    """Compares a graph of an earlier export with its module."""
    spec.calls()  # as in build_graph: the rehearsal runs before the model is loaded
    model, precision = open_model(spec.model), spec.precision
    cases = reference_cases(model, sizes, spec)
    rounding = round_to_storage(model.prepared, cases, spec)
    if precision in UNRUNNABLE:
        lowered = lower(model.prepared, precision)
        cases = [case.lowered(lowered) for case in cases]
        del lowered
    described = replace(model.prepared, module=nn.Identity())
    del model
    gc.collect()
    return parity.compare(described, path, cases, rounding, precision)

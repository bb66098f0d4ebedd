"""A model's graph and its comparison with torch: copied from the work folder, or built and kept there.

torch is imported only where something has to be built. An export in which nothing has changed copies files.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path

from export.progress import Progress
from export.report import TraceCost
from export.spec import ExportSpec, ModelGraph
from export.store import Store, StoredGraph, key


def produce(spec: ExportSpec, out: Path, store: Store | None, progress: Progress) -> ModelGraph:
    """Puts a model's graph and weights into the folder `out`.

    Raises:
        BadFolderError: if its weights cannot be used.
        ExportError: if it cannot be traced.
    """
    lenders = [] if spec.served is None else [spec.served]
    if store is None:
        from export.build import build_graph

        return build_graph(spec, out / "model.onnx", lenders, progress)
    progress(spec.model.name, "looking it up in the work folder")
    bank = None if spec.bank is None else spec.bank.layout
    name = key(spec.model.source, spec.precision, bank, spec.calibration, spec.storage)
    stored = store.find(name)
    if stored is not None and spec.bank is None:
        return copy_stored(spec, stored, out, progress)
    from export.build import build_graph

    started = time.monotonic()
    if stored is not None:
        lenders.insert(0, stored.version)
    graph = build_graph(spec, out / "model.onnx", lenders, progress)
    if stored is None:
        cost = TraceCost.since(started)
        stored = store.keep(name, out, graph.contract, graph.parameters, graph.disk, cost)
        if graph.report is not None and spec.bank is None:
            stored.keep_report(graph.report, spec.sizes(graph.contract), spec.batches, spec.conditioning)
    return replace(graph, cost=stored.cost)


def copy_stored(spec: ExportSpec, stored: StoredGraph, out: Path, progress: Progress) -> ModelGraph:
    """Copies a graph from the work folder, after comparing it where no comparison at these sizes was kept."""
    sizes = spec.sizes(stored.contract)
    report = stored.report(spec.model.name, sizes, spec.batches, spec.conditioning) if sizes else None
    kept = report is not None or not sizes
    if not kept:
        from export.build import compare_stored

        progress(spec.model.name, "comparing with torch")
        report = compare_stored(spec, stored.version / "model.onnx", sizes)
        stored.keep_report(report, sizes, spec.batches, spec.conditioning)
    shutil.copytree(stored.version, out, dirs_exist_ok=True)
    return ModelGraph(stored.contract, stored.parameters, stored.disk, report, kept, stored.cost)

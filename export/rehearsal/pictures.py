"""Compares the pictures of a pipeline's graphs with the pictures of its torch modules."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from export.precision import Precision, Precisions, Storage, lowest
from export.progress import Progress
from export.rehearsal.recording import Rehearsal
from export.report import PictureReport
from export.store import COMPARING, Store, code, key, sha256, write_whole
from export.walk.runner import Bytes

if TYPE_CHECKING:
    from export.walk.runner import Runner


def compare_pictures(
    rehearsal: Rehearsal,
    precisions: Precisions,
    storage: Storage,
    graph_of: Callable[[str], Path],
    store: Store | None,
    progress: Progress,
) -> PictureReport:
    """Makes the rehearsal's pictures with graphs, and compares them with torch's in FP32.

    Args:
        rehearsal: Of the pipeline.
        precisions: Of its models' graphs.
        storage: Of their weights.
        graph_of: The `model.onnx` of a model, by the model's name.
        store: Where the comparison is kept; None to compare in any case and keep nothing.
        progress: Told what is going on.
    """
    names = {role: model.name for role, model in rehearsal.models.items()}
    chosen: dict[str, Precision] = {role: precisions.of(name) for role, name in names.items()}
    path = None if store is None else store.root / "pictures" / f"{mark(rehearsal, chosen, storage)}.json"
    if path is not None:
        try:
            return PictureReport.from_json(json.loads(path.read_text()), rehearsal.folder.name)
        except (OSError, ValueError, KeyError, TypeError):
            pass  # no comparison was kept, or it is damaged: compare now
    from export.rehearsal.walks import walk_examples
    from export.walk.runner import opened
    from export.walk.runners import graph_or_module

    expected = rehearsal.recording.pictures

    def open_role(role: str) -> AbstractContextManager[Runner]:
        progress(names[role], f"rehearsing {rehearsal.folder.name} with its graphs")
        return opened(lambda: graph_or_module(rehearsal.models[role], chosen[role], storage, graph_of(names[role])))

    pictures = walk_examples(rehearsal.folder, rehearsal.config.requests, rehearsal.config.steps, open_role)
    report = picture_report(rehearsal, lowest(chosen.values()), expected, pictures)
    if path is not None:
        write_whole(path, report.to_json())
    return report


def mark(rehearsal: Rehearsal, chosen: Mapping[str, Precision], storage: Storage) -> str:
    """What identifies a comparison."""
    graphs = {role: key(model.source, chosen[role], storage=storage) for role, model in rehearsal.models.items()}
    return sha256({"rehearsal": rehearsal.key, "graphs": graphs, "code": code(COMPARING)})


def picture_report(
    rehearsal: Rehearsal, precision: Precision, expected: tuple[Bytes, ...], pictures: tuple[Bytes, ...]
) -> PictureReport:
    """The comparison of pictures [H, W, 3]."""
    apart = [np.abs(ours.astype(np.int16) - theirs) for ours, theirs in zip(pictures, expected, strict=True)]
    return PictureReport(
        pipeline=rehearsal.folder.name,
        precision=precision,
        steps=rehearsal.config.steps,
        pictures=len(pictures),
        largest=int(max(difference.max() for difference in apart)),
        psnr=min(psnr(difference) for difference in apart),
    )


def psnr(difference: Bytes) -> float:
    """Peak signal-to-noise ratio of 8-bit pictures, in dB; 100 for equal ones."""
    error = float(np.square(difference.astype(np.float64)).mean())
    return min(100.0, 10 * float(np.log10(255**2 / error))) if error else 100.0

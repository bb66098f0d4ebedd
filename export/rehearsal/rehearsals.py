"""The rehearsals of an export's pipelines: which one each model is compared on, and the pictures of each pipeline."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from export.errors import ExportError
from export.plan import Model, RepositoryPlan
from export.precision import Precisions, Storage
from export.progress import Progress
from export.rehearsal.pictures import compare_pictures
from export.rehearsal.recording import Rehearsal, RehearsalConfig
from export.report import PictureReport, check_picture
from export.store import Store


class Rehearsals:
    """One rehearsal for each pipeline; none where the export is told to leave them out."""

    def __init__(
        self, plan: RepositoryPlan, config: RehearsalConfig | None, store: Store | None, progress: Progress
    ) -> None:
        """Runs nothing yet."""
        self._store, self._progress = store, progress
        pipelines = () if config is None else plan.pipelines
        self._of = {
            folder.name: Rehearsal(plan, folder, config, store, progress) for folder in pipelines if config is not None
        }

    def of(self, model: Model) -> Rehearsal | None:
        """The rehearsal of the first pipeline that uses a model."""
        return self._of.get(model.pipelines[0].name)

    def compare(
        self,
        precisions: Precisions,
        graph_of: Callable[[str], Path],
        *,
        storage: Storage = "source",
        changed: Collection[str] | None = None,
        banked: Collection[str] = (),
    ) -> list[PictureReport]:
        """Makes every pipeline's pictures with its graphs.

        Args:
            precisions: Of the graphs.
            graph_of: The `model.onnx` of a model, by the model's name.
            storage: Of the graphs' weights.
            changed: The models that were exported; pipelines that use none of them are left out. None for all.
            banked: Models with a bank of adapters. What the work folder knows is of graphs without one.

        Raises:
            ParityError: if one is not near enough to torch's.
        """
        reports = []
        for rehearsal in self._of.values():
            names = {model.name for model in rehearsal.models.values()}
            if changed is not None and not names & set(changed):
                continue
            store = None if names & set(banked) else self._store
            report = compare_pictures(rehearsal, precisions, storage, graph_of, store, self._progress)
            check_picture(report)
            reports.append(report)
        return reports


def expect_rehearsal(precisions: Precisions, config: RehearsalConfig | None) -> None:
    """Refuses fp8 where there is nothing to calibrate its scales by.

    Raises:
        ExportError: with what to do.
    """
    if precisions.calibrated and config is None:
        raise ExportError("fp8 calibrates its scales in a rehearsal: give it --steps 1 or more.")

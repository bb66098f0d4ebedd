"""How an export is done, whatever it exports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from export.contract import BATCHES
from export.judges import Judges
from export.precision import Precisions, Storage
from export.rehearsal.recording import RehearsalConfig
from export.store import Store
from export.task_adapters import TaskAdapters


@dataclass(frozen=True)
class ExportOptions:
    """How an export is done, whatever it exports."""

    precisions: Precisions = field(default_factory=Precisions)
    work: Path | None = None
    """The work folder; None to keep nothing, and to take nothing from earlier exports."""
    engines: bool = False
    """Whether the repository gets the profiles and configs that engines are built and served with."""
    rollout: bool = False
    """Whether a model that has changed goes in beside its previous version, instead of in its place."""
    batches: tuple[int, ...] = BATCHES
    """How many rows graphs are compared at."""
    judges: Judges = field(default_factory=dict)
    """Where reward model and segmenter come from, if not from the pipelines' folders."""
    rehearsal: RehearsalConfig | None = None
    """How pipelines are rehearsed, for real inputs and pictures to compare; None to compare on random inputs alone."""
    storage: Storage = "source"
    variant: str | None = None
    """Which variant of weights is read where a component has it, such as fp16."""
    schedulers: Mapping[str, str] = field(default_factory=dict)
    """The solvers of requests that name none, by pipeline, where they are not the folders'."""

    task_adapters: TaskAdapters = field(default_factory=dict)
    """Adapters that the rows of a task get without being named, by pipeline and task."""

    @property
    def store(self) -> Store | None:
        """What the work folder holds."""
        return None if self.work is None else Store(self.work)

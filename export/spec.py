"""What one model's export is asked for, and what comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from export.contract import BATCHES, SMALL, Axis, Contract, Size
from export.plan import Model
from export.precision import Precision, Storage
from export.report import ComponentReport, DiskSizes, TraceCost

if TYPE_CHECKING:
    # Both bring torch, which an export that finds everything in the work folder does without.
    from export.adapters import Bank
    from export.rehearsal.recording import Rehearsal
    from export.walk.runner import Tensors


@dataclass(frozen=True)
class ExportSpec:
    """How one model is exported and compared."""

    model: Model
    precision: Precision
    compare: bool = True
    """Whether the graph is compared with torch; a graph that is going to be served always is."""
    bank: Bank | None = None
    served: Path | None = None
    """A version folder of the same precision; its graph is reused where only the bank differs."""
    batches: tuple[int, ...] = BATCHES
    """The batch sizes it is compared at."""
    rehearsal: Rehearsal | None = None
    """Of a pipeline that uses the model: the real inputs that it is compared on and calibrated by."""
    storage: Storage = "source"

    @property
    def calibration(self) -> str | None:
        """What identifies the inputs that its scales come from; None where its precision needs no scales."""
        return self.rehearsal.key if self.rehearsal is not None and self.precision == "fp8" else None

    @property
    def conditioning(self) -> str | None:
        """What identifies the real inputs that it is compared on."""
        return None if self.rehearsal is None else self.rehearsal.key

    def calls(self) -> Sequence[Tensors]:
        """The real inputs, if they are needed. The first model to ask runs the rehearsal."""
        if self.rehearsal is None or not (self.compare or self.precision == "fp8"):
            return ()
        return self.rehearsal.recording.calls.get(self.model.role, ())

    def sizes(self, contract: Contract) -> tuple[Size, ...]:
        """Where it is compared: a small size, and every bucket of every pipeline that uses the model.

        A model without pictures among its inputs is measured once, with the longest prompt.
        """
        if not self.compare:
            return ()
        axes = [axis for tensor in contract.inputs for axis in tensor.shape if isinstance(axis, Axis)]
        sizes = [
            Size(height, width, max(folder.text.values()))
            for folder in self.model.pipelines
            for height, width in folder.settings["buckets"]
        ]
        pictures = any(axis.name == "height" for axis in axes)
        return tuple(dict.fromkeys([SMALL, *(sizes if pictures else sizes[:1])]))


@dataclass(frozen=True)
class ModelGraph:
    """A model's graph, with its weights beside it in a version folder."""

    contract: Contract
    parameters: int
    disk: DiskSizes
    report: ComponentReport | None
    """The comparison with torch; None where the export was not asked to compare."""
    kept: bool = False
    """Whether graph and comparison were in the work folder already."""
    cost: TraceCost | None = None
    """What making the graph took; None without a work folder."""

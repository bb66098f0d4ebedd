"""A model's graph and its comparison with torch: taken from the work folder, or made and kept there.

torch is imported only where something has to be made: where nothing has changed, this is copying files.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from export.contract import Axis, Contract, Size
from export.plan import Model
from export.precision import Precision
from export.report import ComponentReport, Made, Written
from export.store import Entry, Store, key

if TYPE_CHECKING:
    from export.adapters import Bank
    from export.rehearsal.recorded import Rehearsal
    from export.rehearsal.scene import Tensors

Progress = Callable[[str, str], None]
"""Called with a model's name and what happens to it now."""
SMALL = Size(height=64, width=96, tokens=16)
"""A size that no bucket has, and whose sides differ."""
BATCHES = (1, 3)


@dataclass(frozen=True)
class Wish:
    """What is wanted of one model."""

    model: Model
    precision: Precision
    compare: bool = True
    """Whether to compare the graph with torch; a graph that is going to be served always is."""
    bank: Bank | None = None
    served: Path | None = None
    """A version folder of the same precision, whose graph will do where only the bank is another."""
    batches: tuple[int, ...] = BATCHES
    """How many rows it is compared at."""
    rehearsal: Rehearsal | None = None
    """Of a pipeline that uses it: the real inputs that it is compared on, and calibrated by."""

    @property
    def calibration(self) -> str | None:
        """What identifies the inputs that its scales come from, where its precision needs any."""
        return self.rehearsal.key if self.rehearsal is not None and self.precision == "fp8" else None

    @property
    def conditioning(self) -> str | None:
        """What identifies the real inputs that it is compared on."""
        return None if self.rehearsal is None else self.rehearsal.key

    def calls(self) -> Sequence[Tensors]:
        """The real inputs, if they are needed; the first of all models to ask makes the rehearsal."""
        if self.rehearsal is None or not (self.compare or self.precision == "fp8"):
            return ()
        return self.rehearsal.recorded.calls.get(self.model.role, ())

    def sizes(self, contract: Contract) -> tuple[Size, ...]:
        """Where it is compared: a small size, and every bucket of every pipeline that uses the model.

        A model without pictures among its inputs is measured once, with the longest prompt.
        """
        if not self.compare:
            return ()
        axes = [axis for spec in contract.inputs for axis in spec.shape if isinstance(axis, Axis)]
        sizes = [
            Size(height, width, max(folder.text.values()))
            for folder in self.model.pipelines
            for height, width in folder.settings["buckets"]
        ]
        pictures = any(axis.name == "height" for axis in axes)
        return tuple(dict.fromkeys([SMALL, *(sizes if pictures else sizes[:1])]))


@dataclass(frozen=True)
class Produced:
    """A model whose graph and weights lie where they were wanted."""

    contract: Contract
    parameters: int
    written: Written
    report: ComponentReport | None
    kept: bool
    """Whether everything was there already."""
    made: Made | None = None
    """What the graph took to make; None where nothing is kept of it."""


def produce(wish: Wish, out: Path, store: Store | None, progress: Progress) -> Produced:
    """Puts a model's graph and weights into the folder `out`.

    Raises:
        BadFolderError: if its weights cannot be used.
        ExportError: if it cannot be traced.
    """
    if store is None:
        return make(wish, out, () if wish.served is None else (wish.served,), progress)
    progress(wish.model.name, "looking at what is there")
    name = key(wish.model.source, wish.precision, None if wish.bank is None else wish.bank.layout, wish.calibration)
    entry = store.find(name)
    if entry is not None and wish.bank is None:
        return take(wish, entry, out, progress)
    started = time.monotonic()
    lenders = [*([entry.version] if entry is not None else []), *([wish.served] if wish.served is not None else [])]
    produced = make(wish, out, lenders, progress)
    if entry is None:
        made = Made.since(started)
        entry = store.keep(name, out, produced.contract, produced.parameters, produced.written, made)
        if produced.report is not None and wish.bank is None:
            entry.keep_report(produced.report, wish.sizes(produced.contract), wish.batches, wish.conditioning)
    return replace(produced, made=entry.made)


def take(wish: Wish, entry: Entry, out: Path, progress: Progress) -> Produced:
    """Copies an entry of the work folder; compares it where it has not been compared at these sizes."""
    sizes = wish.sizes(entry.contract)
    report = entry.report(wish.model.name, sizes, wish.batches, wish.conditioning) if sizes else None
    kept = report is not None or not sizes
    if not kept:
        from export import build

        progress(wish.model.name, "comparing with torch")
        report = build.compare_kept(wish, entry.version / "model.onnx", sizes)
        entry.keep_report(report, sizes, wish.batches, wish.conditioning)
    shutil.copytree(entry.version, out, dirs_exist_ok=True)
    return Produced(entry.contract, entry.parameters, entry.written, report, kept, entry.made)


def make(wish: Wish, out: Path, lenders: Sequence[Path], progress: Progress) -> Produced:
    """Makes a model with torch."""
    from export import build

    return Produced(*build.make(wish, out / "model.onnx", lenders, progress), kept=False)

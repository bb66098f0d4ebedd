"""One export from beginning to end: check the folders, export and verify every model, swap the repository in."""

from __future__ import annotations

import gc
import shutil
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from export import configs, repository, rollout, tokenizer
from export.contract import Contract
from export.engines.profiles import profiles_of
from export.errors import ExportError
from export.plan import Model, Plan, make_plan
from export.precision import Precisions
from export.produce import BATCHES, Produced, Progress, Wish, produce
from export.rehearsal.recorded import How, Rehearsal
from export.rehearsal.rehearsals import Rehearsals, expect_rehearsal
from export.report import Export, Exported, check, peak_mib
from export.source import open_folder
from export.store import Store

if TYPE_CHECKING:
    from export.adapters import Bank, Order


@dataclass(frozen=True)
class Options:
    """How an export is done, whatever it exports."""

    precisions: Precisions = field(default_factory=Precisions)
    work: Path | None = None
    """The work folder; None to keep nothing, and to take nothing from earlier exports."""
    engines: bool = False
    """Whether the repository gets what engines are built and served with."""
    rollout: bool = False
    """Whether a model that has changed goes in beside its previous version, instead of in its place."""
    batches: tuple[int, ...] = BATCHES
    """How many rows graphs are compared at."""
    rehearsal: How | None = None
    """How pipelines are rehearsed, for real inputs and pictures to compare; None to compare on random inputs alone."""

    @property
    def store(self) -> Store | None:
        """What the work folder holds."""
        return None if self.work is None else Store(self.work)


def open_plan(sources: Sequence[Path], default: str | None, options: Options) -> Plan:
    """Checks the folders and names the models."""
    plan = make_plan([open_folder(source) for source in sources], default)
    options.precisions.expect(plan.models)
    expect_rehearsal(options.precisions, options.rehearsal)
    return plan


def reported(name: str, produced: Produced, started: float) -> Exported | None:
    """What is told of a model, after its tolerance has been checked; None where it was not compared.

    Raises:
        ParityError: if the graph does not compute what the module does.
    """
    if produced.report is None:
        return None
    check(produced.report)
    seconds = time.monotonic() - started
    return Exported(
        *(name, produced.parameters, produced.written, seconds, peak_mib(), produced.report),
        made=produced.made,
        kept=produced.kept,
    )


def export_graphs(
    sources: Sequence[Path],
    progress: Progress,
    options: Options,
    *,
    names: Collection[str] | None = None,
    compare: bool = True,
) -> Export:
    """Makes the graphs of pipeline folders in the work folder, and no repository.

    Raises:
        ExportError: or one of its kinds, with one sentence for the person who started it.
    """
    plan = open_plan(sources, None, options)
    expect_models(plan, names)
    assert options.work is not None
    options.work.mkdir(parents=True, exist_ok=True)
    rehearsals = Rehearsals(plan, options.rehearsal, options.store, progress)
    chosen = [model for name, model in plan.models.items() if names is None or name in names]
    exported = []
    # One file system with the work folder, which may be large where the temporary one is not.
    with TemporaryDirectory(dir=options.work) as folder:
        for model in chosen:
            started, name = time.monotonic(), model.name
            rehearsal = rehearsals.of(model)
            wish = Wish(model, options.precisions.of(name), compare, batches=options.batches, rehearsal=rehearsal)
            produced = produce(wish, Path(folder) / name, options.store, progress)
            if (report := reported(name, produced, started)) is not None:
                exported.append(report)
            progress(name, f"done in {time.monotonic() - started:.1f} s{' (nothing changed)' if produced.kept else ''}")
            gc.collect()
        pictures = []
        if compare and len(chosen) == len(plan.models):
            pictures = rehearsals.compare(options.precisions, lambda name: Path(folder) / name / "model.onnx")
    return Export(tuple(exported), tuple(pictures), len(chosen))


def export_pipelines(
    sources: Sequence[Path],
    out: Path,
    progress: Progress,
    *,
    names: Collection[str] | None = None,
    default: str | None = None,
    wanted: Order | None = None,
    options: Options | None = None,
) -> Export:
    """Exports pipeline folders, or some of their models into a repository that has the others already.

    Args:
        sources: The diffusers folders. A pipeline is called what its folder is; components that several folders share
            are exported once.
        out: The Triton repository; replaced as a whole, and only if everything succeeded.
        progress: Told what is going on.
        names: The models to export; None for all.
        default: The pipeline for requests that name none; None for the first.
        wanted: The adapters that denoisers get.
        options: Precision, work folder and the like; None for FP32, and no work folder.

    Raises:
        ExportError: or one of its kinds, with one sentence for the person who started it.
    """
    options = options or Options()
    plan = open_plan(sources, default, options)
    known = repository.read_pipelines(out).get("models", {})
    kept = kept_models(plan, out, known, names)
    banks = open_banks(plan, wanted, kept)
    rehearsals = Rehearsals(plan, options.rehearsal, options.store, progress)
    exported = []
    with repository.staged(out) as staging:
        models: dict[str, Any] = dict(kept)
        for name in kept:
            shutil.copytree(out / name, staging / name)
        for name, model in plan.models.items():
            if name in kept:
                continue
            exporting = Exporting(
                *(model, staging / name, out / name, known.get(name), banks.get(name), rehearsals.of(model))
            )
            report, models[name] = exporting.run(options, progress)
            exported.append(report)
            # The module, its trace and the session of one component are of no use to the next.
            gc.collect()
        pictures = rehearsals.compare(
            served_precisions(models),
            lambda name: staging / name / models[name]["version"] / "model.onnx",
            changed={report.model for report in exported},
            banked=banks,
        )
        repository.write_pipelines(staging, plan, models)
    return Export(tuple(exported), tuple(pictures), len(exported))


def served_precisions(models: dict[str, Any]) -> Precisions:
    """The precisions of a repository's models, those that were kept included."""
    return Precisions(models={name: entry.get("precision", "fp32") for name, entry in models.items()})


@dataclass(frozen=True)
class Exporting:
    """One model on its way into a repository."""

    model: Model
    out: Path
    """Its folder in the repository that is being made."""
    served: Path
    """Its folder in the repository so far; need not exist."""
    known: dict[str, Any] | None
    """Its entry there."""
    bank: Bank | None
    rehearsal: Rehearsal | None

    def run(self, options: Options, progress: Progress) -> tuple[Exported, dict[str, Any]]:
        """Makes its folder; returns its report and its entry for `pipeline.json`."""
        started, name, model = time.monotonic(), self.model.name, self.model
        if model.source.tokenizer is not None:
            text = model.pipelines[0].text
            length = text["t5_max_tokens" if model.role == "text_encoder_t5" else "max_tokens"]
            tokenizer.convert(model.source.tokenizer, model.source.config, length, self.out / "tokenizer.json")
        precision, version, lender = options.precisions.of(name), configs.VERSION, None
        if self.known is not None and self.known.get("precision", "fp32") == precision:
            # A graph lent for another bank must not be one that computes in another precision.
            lender = self.served / self.known["version"]
        wish = Wish(
            *(model, precision),
            bank=self.bank,
            served=lender,
            batches=options.batches,
            rehearsal=self.rehearsal,
        )
        produced = produce(wish, self.out / version, options.store, progress)
        expect_heads(model, produced.contract)
        exported = reported(name, produced, started)
        assert exported is not None
        previous: dict[str, Any] = {}
        if options.rollout and self.known is not None:
            version, previous = rollout.place(self.out, self.served, self.known, produced.contract)
        profiles = profiles_of(model, produced.contract) if options.engines else ()
        entry = configs.finish_model(self.out, produced.contract, precision, version, profiles)
        entry |= {} if self.bank is None else {"adapters": self.bank.entry()}
        entry |= {"previous": previous} if previous else {}
        progress(name, f"done in {exported.seconds:.1f} s{' (nothing changed)' if exported.kept else ''}")
        return exported, entry


def open_banks(plan: Plan, wanted: Order | None, kept: Collection[str]) -> dict[str, Bank]:
    """The banks of adapters, by the denoisers that get one."""
    if wanted is None:
        return {}
    from export import adapters

    banks = adapters.open_banks(plan, wanted)
    for name in banks:
        if name in kept:
            raise ExportError(f"Adapters change {name}, which is not among the components to export.")
    return banks


def expect_heads(model: Model, contract: Contract) -> None:
    """The reward model must have as many heads as its pipelines have names for."""
    if model.role != "reward":
        return
    heads = contract.outputs[0].dims[0]
    for folder in model.pipelines:
        names = folder.settings["reward_heads"]
        if heads != len(names):
            raise ExportError(
                f"reward: the network has {heads} heads, {folder.name}'s reward_heads names {len(names)}."
            )


def expect_models(plan: Plan, names: Collection[str] | None) -> None:
    """Refuses names of models that there are none of."""
    unknown = sorted(set(names or ()) - set(plan.models))
    if unknown:
        raise ExportError(f"There is no component {unknown[0]!r}; there are {', '.join(plan.models)}.")


def kept_models(plan: Plan, out: Path, known: dict[str, Any], names: Collection[str] | None) -> dict[str, Any]:
    """The entries of the models that are not to be exported again.

    Raises:
        ExportError: if `names` has a stranger, or a model to be kept is not there yet.
    """
    expect_models(plan, names)
    kept = {name: known.get(name) for name in plan.models if names is not None and name not in names}
    missing = [name for name, entry in kept.items() if entry is None]
    if missing:
        raise ExportError(f"{out} has no {missing[0]} yet: export every component once, then single ones.")
    return kept

"""One export from beginning to end: check the folders, export and verify every model, swap the repository in."""

from __future__ import annotations

import dataclasses
import gc
import shutil
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from export import repository, task_adapters
from export.errors import ExportError
from export.model_export import ModelExport, model_report
from export.options import ExportOptions
from export.own_adapters import own_task_adapters, with_own
from export.plan import RepositoryPlan, plan_repository
from export.precision import Precisions
from export.produce import produce
from export.progress import Progress
from export.rehearsal.rehearsals import Rehearsals, expect_rehearsal
from export.report import ExportReport
from export.serving import check_repository
from export.source import PipelineFolder, open_folder
from export.spec import ExportSpec
from export.task_adapters import TaskAdapters

if TYPE_CHECKING:
    from export.adapters import AdapterSelection, Bank


def open_plan(sources: Sequence[Path], default: str | None, options: ExportOptions) -> RepositoryPlan:
    """Checks the folders and names the models."""
    folders = [
        open_folder(source, options.judges, options.variant, options.schedulers.get(source.resolve().name))
        for source in sources
    ]
    plan = plan_repository(folders, default)
    options.precisions.expect(plan.models)
    expect_rehearsal(options.precisions, options.rehearsal)
    return plan


def export_graphs(
    sources: Sequence[Path],
    progress: Progress,
    options: ExportOptions,
    *,
    names: Collection[str] | None = None,
    compare: bool = True,
) -> ExportReport:
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
    reports = []
    # In the work folder: its file system has room for graphs, the default temporary folder may not.
    with TemporaryDirectory(dir=options.work) as folder:
        for model in chosen:
            started, name = time.monotonic(), model.name
            rehearsal = rehearsals.of(model)
            spec = ExportSpec(
                model=model,
                precision=options.precisions.of(name),
                storage=options.storage,
                compare=compare,
                batches=options.batches,
                rehearsal=rehearsal,
            )
            graph = produce(spec, Path(folder) / name, options.store, progress)
            if (report := model_report(name, graph, started)) is not None:
                reports.append(report)
            progress(name, f"done in {time.monotonic() - started:.1f} s{' (nothing changed)' if graph.kept else ''}")
            gc.collect()
        pictures = []
        if compare and len(chosen) == len(plan.models):
            pictures = rehearsals.compare(
                options.precisions, lambda name: Path(folder) / name / "model.onnx", storage=options.storage
            )
    return ExportReport(tuple(reports), tuple(pictures), len(chosen))


def export_pipelines(
    sources: Sequence[Path],
    out: Path,
    progress: Progress,
    *,
    names: Collection[str] | None = None,
    default: str | None = None,
    selection: AdapterSelection | None = None,
    options: ExportOptions | None = None,
) -> ExportReport:
    """Exports pipeline folders, or some of their models into a repository that has the others already.

    Args:
        sources: The diffusers folders. A pipeline is called what its folder is; components that several folders share
            are exported once.
        out: The Triton repository; replaced as a whole, and only if everything succeeded.
        progress: Told what is going on.
        names: The models to export; None for all.
        default: The pipeline for requests that name none; None for the first.
        selection: The adapters that denoisers get.
        options: Precision, work folder and the like; None for FP32, and no work folder.

    Raises:
        ExportError: or one of its kinds, with one sentence for the person who started it.
    """
    options = options or ExportOptions()
    plan = open_plan(sources, default, options)
    earlier = repository.read_pipelines(out)
    entries = earlier.get("models", {})
    kept = kept_models(plan, out, entries, names)
    banks = open_banks(plan, selection, kept, options)
    own_adapters = task_adapters.combined(
        own_task_adapters(exported(plan, kept)), task_adapters.kept(earlier, kept), options.task_adapters
    )
    expect_task_adapters(plan, own_adapters, banks, kept)
    rehearsals = Rehearsals(plan, options.rehearsal, options.store, progress)
    reports = []
    with repository.staged(out) as staging:
        models: dict[str, Any] = dict(kept)
        for name in kept:
            shutil.copytree(out / name, staging / name)
        for name, model in plan.models.items():
            if name in kept:
                continue
            export = ModelExport(
                model=model,
                out=staging / name,
                served=out / name,
                entry=entries.get(name),
                bank=banks.get(name),
                rehearsal=rehearsals.of(model),
            )
            report, models[name] = export.run(options, progress)
            reports.append(report)
            # Frees the module, trace and session of this component before the next one is loaded.
            gc.collect()
        pictures = rehearsals.compare(
            served_precisions(models),
            lambda name: staging / name / models[name]["version"] / "model.onnx",
            storage=options.storage,
            changed={report.model for report in reports},
            banked=banks,
        )
        repository.write_pipelines(staging, plan, models, own_adapters)
        # Before the swap: a repository that cannot be served never takes the place of one that can.
        serving = check_repository(staging, out)
    notes = tuple(note for bank in banks.values() for note in bank.notes())
    sentences = tuple(sentence for each in serving for sentence in each.sentences)
    return ExportReport(tuple(reports), tuple(pictures), len(reports), notes, sentences)


def served_precisions(models: dict[str, Any]) -> Precisions:
    """The precisions of a repository's models, those that were kept included."""
    return Precisions(models={name: entry.get("precision", "fp32") for name, entry in models.items()})


def exported(plan: RepositoryPlan, kept: Collection[str]) -> list[PipelineFolder]:
    """The pipelines whose denoisers are exported; the others keep their adapters."""
    return [folder for folder in plan.pipelines if plan.components(folder)["denoiser"] not in kept]


def open_banks(
    plan: RepositoryPlan, selection: AdapterSelection | None, kept: Collection[str], options: ExportOptions
) -> dict[str, Bank]:
    """The banks of adapters, by the denoisers that get one."""
    selection = with_own(selection, exported(plan, kept), plan.pipelines[0].name)
    if selection is None:
        return {}
    import torch

    from export import adapters

    banks = adapters.open_banks(plan, selection)
    for name in banks:
        if name in kept:
            raise ExportError(f"Adapters change {name}, which is not among the components to export.")
        # FP32 arithmetic on the user's own weights deserves the user's own adapters.
        exact = options.precisions.of(name) == "fp32" and options.storage == "source"
        banks[name] = dataclasses.replace(banks[name], dtype=torch.float32 if exact else torch.float16)
    return banks


def expect_task_adapters(
    plan: RepositoryPlan, chosen: TaskAdapters, banks: Mapping[str, Bank], kept: Mapping[str, Any]
) -> None:
    """Refuses task adapters that are in no bank, before the first component is exported."""
    denoisers = {folder.name: plan.components(folder)["denoiser"] for folder in plan.pipelines}
    contents: dict[str, tuple[Collection[str], int]] = {
        name: (entry["adapters"]["names"], entry["adapters"]["slots"])
        for name, entry in kept.items()
        if "adapters" in entry
    }
    contents |= {name: ([ref.name for ref, _ in bank.adapters], bank.slots) for name, bank in banks.items()}
    task_adapters.expect_in_banks(chosen, denoisers, contents)


def expect_models(plan: RepositoryPlan, names: Collection[str] | None) -> None:
    """Refuses unknown names of models."""
    unknown = sorted(set(names or ()) - set(plan.models))
    if unknown:
        raise ExportError(f"There is no component {unknown[0]!r}; there are {', '.join(plan.models)}.")


def kept_models(
    plan: RepositoryPlan, out: Path, entries: dict[str, Any], names: Collection[str] | None
) -> dict[str, Any]:
    """The entries of the models that are kept as they are.

    Raises:
        ExportError: if `names` has an unknown model, or a model to be kept is not there yet.
    """
    expect_models(plan, names)
    kept = {name: entries.get(name) for name in plan.models if names is not None and name not in names}
    missing = [name for name, entry in kept.items() if entry is None]
    if missing:
        raise ExportError(f"{out} has no {missing[0]} yet: export every component once, then single ones.")
    return kept

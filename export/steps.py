"""What each step of the command line does: argument values in, tables and files out."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from export import rollout, summary
from export.engines import seam
from export.engines.__main__ import build_options
from export.engines.builds import Engine, build_all
from export.errors import ExportError
from export.layout import JUDGE_ROLES
from export.option_values import adapter_selection, scheduler_choices
from export.options import ExportOptions
from export.precision import parse_precisions
from export.progress import Progress
from export.rehearsal.examples import read_folder
from export.rehearsal.recording import RehearsalConfig
from export.report import ExportReport
from export.run import export_graphs, export_pipelines
from export.survey import survey, survey_adapters
from export.task_adapters import read_options


@dataclass(frozen=True)
class StepResult:
    """The result of a step."""

    export: ExportReport
    engines: tuple[Engine, ...] = ()

    def show(self, console: Console, options: argparse.Namespace, seconds: float) -> None:
        """Writes the report, and prints the tables and a last line."""
        exported = self.export.models
        if exported:
            if options.report is not None:
                summary.write_report(options.report, self.export, seconds)
            console.print(summary.table(exported))
        if self.export.pictures:
            console.print(summary.pictures_table(self.export.pictures))
        if self.engines:
            console.print(summary.engines_table(self.engines))
        for note in self.export.notes:
            console.print(note, soft_wrap=True, highlight=False)
        what = {"onnx": f"{self.export.graphs} graphs", "verify": f"{len(exported)} graphs equal torch's modules"}
        place = {"onnx": options.work, "verify": options.work, "engine": summary.store_of(options)}
        for sentence in self.export.serving:
            console.print(sentence, soft_wrap=True, highlight=False)
        count = what.get(options.step, f"{len(exported) or len(self.engines)} components")
        where = place.get(options.step, getattr(options, "out", None))
        console.print(f"{where} is ready: {count} in {seconds:.0f} s.", soft_wrap=True, highlight=False)


def inspect(options: argparse.Namespace, console: Console) -> int:
    """Prints what folders hold; returns 1 if something is wrong with one."""
    precisions, schedulers = parse_precisions(options.precision), scheduler_choices(options)
    status = 0
    for folder in options.pipelines:
        scheduler = schedulers.get(folder.resolve().name)
        result = survey(folder, precisions, options.target, options_judges(options), options.variant, scheduler)
        console.print(summary.survey_table(result) if result.parts else result.title)
        for sentence in (*result.notes, *(result.serving.sentences if result.serving else ())):
            console.print(sentence, soft_wrap=True, highlight=False)
        for problem in result.problems:
            console.print(f"[red]{problem}[/red]", soft_wrap=True, highlight=False)
            status = 1
    for note, problem in survey_adapters(options.pipelines, adapter_selection(options)):
        console.print(f"[red]{problem}[/red]" if problem else note, soft_wrap=True, highlight=False)
        status = 1 if problem else status
    return status


def run_step(options: argparse.Namespace, progress: Progress) -> StepResult:
    """Exports graphs, a repository and engines, as far as the step goes."""
    export_options = ExportOptions(
        parse_precisions(options.precision),
        options.work,
        storage=options.storage,
        variant=options.variant,
        schedulers=scheduler_choices(options),
        engines=options.target == "tensorrt",
        rollout=getattr(options, "rollout", False),
        judges=options_judges(options),
        rehearsal=rehearsal_config(options),
        task_adapters=read_options(options.task_adapters, [path.resolve().name for path in options.pipelines]),
    )
    names = None if options.components is None else [name.strip() for name in options.components.split(",")]
    if options.step in ("onnx", "verify"):
        compare = options.step == "verify"
        return StepResult(export_graphs(options.pipelines, progress, export_options, names=names, compare=compare))
    if options.step == "engine" and options.target != "tensorrt":
        raise ExportError("onnxruntime serves graphs as they are; engines need --target tensorrt.")
    export = ExportReport()
    if options.pipelines:
        export = export_pipelines(
            options.pipelines,
            options.out,
            progress,
            names=names,
            default=options.default,
            selection=adapter_selection(options),
            options=export_options,
        )
    engines = options.step == "engine" or (options.step == "all" and options.target == "tensorrt")
    return StepResult(export, tuple(build_engines(options, progress)) if engines else ())


def options_judges(options: argparse.Namespace) -> dict[str, Path]:
    """Where the command line takes reward model and segmenter from."""
    return {role: folder for role in JUDGE_ROLES if (folder := getattr(options, role)) is not None}


def rehearsal_config(options: argparse.Namespace) -> RehearsalConfig | None:
    """The rehearsal that the command line asks for; None where it asks for none."""
    if options.steps < 0:
        raise ExportError(f"--steps {options.steps} is negative.")
    if options.steps == 0:
        return None
    return RehearsalConfig(options.steps, () if options.examples is None else read_folder(options.examples))


def build_engines(options: argparse.Namespace, progress: Progress) -> list[Engine]:
    """Builds the engines of a repository on this machine."""
    builder, building = seam.find(options.builder), build_options(options)
    target = seam.local_target(builder, building)
    store: Path = summary.store_of(options)
    return build_all(options.out, store, builder, target, building, progress)


def change_versions(options: argparse.Namespace, console: Console) -> None:
    """Prunes or switches versions of a repository's models."""
    if options.step == "switch":
        rollout.switch(options.out, options.model, options.version)
        console.print(f"{options.out}/{options.model} serves version {options.version}.", soft_wrap=True)
        return
    gone = rollout.prune(options.out, None if options.model is None else [options.model])
    console.print(f"deleted {', '.join(gone)}" if gone else "nothing to delete", soft_wrap=True, highlight=False)

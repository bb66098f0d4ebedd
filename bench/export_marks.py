"""Measures the marks of the export on one machine and writes them to docs/figures/export.json.

usage: python -m bench.export_marks [MARK …]        (default: every mark but `sdxl`, which needs `make sdxl-full`)
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.console import Console

from bench import adapter_cost, sdxl_full
from bench.figures import ROOT, Figure, record
from export.__main__ import main as export
from export.engines import seam
from export.engines.builds import build_once, models_of
from export.engines.identity import Identity
from export.engines.seam import BuildOptions
from export.errors import ExportError
from export.precision import Precision, Precisions
from export.report import TOLERANCE, Exported
from export.run import Options, export_graphs, export_pipelines
from tests.export import families, tiny
from tests.export.test_source import DIT_SPOILT, SPOILT

AREA = "export"
WORK = ROOT / ".backdrop" / "export"
MEASURED: tuple[Precision, ...] = ("fp32", "fp16")
console = Console(stderr=True)


def command(name: str) -> str:
    """What measures the mark again."""
    return f"python -m bench.export_marks {name}"


def progress(name: str, what: str) -> None:
    """A line a step."""
    console.print(f"{name}: {what}", highlight=False)


def reference_folders() -> list[Path]:
    """The folders of the reference pipelines."""
    return sorted(path.parent for path in (ROOT / "training" / "weights").glob("backdrop*/model_index.json"))


def worst(found: Sequence[Exported]) -> tuple[float, str]:
    """The largest difference from torch, and whose it is."""
    largest = max(found, key=lambda report: report.parity.worst.relative)
    return largest.parity.worst.relative, f"{largest.model}; {len(found)} components"


def reference() -> list[Figure]:
    """Every component of the reference pipelines, in both precisions."""
    figures = []
    for precision in MEASURED:
        options = Options(Precisions(precision), WORK)
        found = export_graphs(reference_folders(), progress, options)
        value, spread = worst(found.models)
        name = f"reference pipelines: largest difference from torch, {precision}, relative"
        figures.append(Figure(name, value, TOLERANCE[precision], "lower", command("reference"), spread))
    return figures


def engines() -> list[Figure]:
    """Every component of the reference pipelines as an engine of TensorRT for RTX, which needs no GPU to build."""
    builder = seam.find("tensorrt_rtx")
    where = seam.here(builder, BuildOptions())
    figures = []
    for precision in MEASURED:
        repository = WORK / f"repository-{precision}"
        options = Options(Precisions(precision), WORK, engines=True)
        export_pipelines(reference_folders(), repository, progress, options=options)
        failed, seconds = [], 0.0
        for name, entry in models_of(repository).items():
            identity = Identity.of(name, entry, where)
            graph = repository / name / entry["version"] / "model.onnx"
            try:
                seconds += build_once(
                    graph, entry["profiles"], WORK / "engines", identity, builder, BuildOptions(), progress
                )
            except ExportError as error:
                console.print(str(error))
                failed.append(name)
        spread = f"{len(models_of(repository))} built in {seconds:.0f} s" if not failed else ", ".join(failed)
        name = f"reference pipelines: components that tensorrt_rtx does not build, {precision}"
        figures.append(Figure(name, len(failed), 0, "lower", command("engines"), spread))
    return figures


def other_families() -> list[Figure]:
    """Stable Diffusion 1.5 for inpainting and Stable Diffusion 3, at reduced width."""
    makers = {"Stable Diffusion 1.5 inpainting": families.write_sd15, "Stable Diffusion 3": families.write_sd3}
    figures = []
    with tempfile.TemporaryDirectory() as base:
        for number, (name, write) in enumerate(makers.items()):
            folder = Path(base) / f"family{number}"
            write(folder)
            found = export_pipelines([folder], Path(base) / f"out{number}", progress)
            value, spread = worst(found.models)
            label = f"{name}, reduced width: largest difference from torch, fp32, relative"
            figures.append(Figure(label, value, TOLERANCE["fp32"], "lower", command("families"), spread))
    return figures


def adapters() -> list[Figure]:
    """Rows that name adapters, against fused weights; and what the bank costs."""
    unet = next(folder for folder in reference_folders() if folder.name == "backdrop")
    difference, cost, spread = adapter_cost.measure(unet, progress)
    return [
        Figure(
            "4 rows with 4 adapters against 4 runs with fused weights, relative",
            value=difference,
            mark=1e-4,
            better="lower",
            command=command("adapters"),
            spread="reference UNet, all linear layers, rank 8, onnxruntime against torch",
        ),
        Figure("bank of 4 adapters of rank 8, % of a row", cost, 15, "lower", command("adapters"), spread),
    ]


def bad_folders() -> list[Figure]:
    """Every kind of bad folder that the tests know, by the command line."""
    slowest, wrong, cases = 0.0, [], 0
    with tempfile.TemporaryDirectory() as base:
        pipelines = Path(base) / "pipelines"
        tiny.write_pipelines(pipelines)
        for name, spoil, message in spoilt():
            copy, out = Path(base) / f"case{cases}", Path(base) / "out"
            shutil.copytree(pipelines, copy)
            spoil(copy / name)
            begin = time.monotonic()
            with contextlib.redirect_stderr(io.StringIO()):
                status = export(["all", "--pipeline", str(copy / name), "--out", str(out), "--work", f"{base}/work"])
            slowest, cases = max(slowest, time.monotonic() - begin), cases + 1
            if status != 1 or out.exists() or list(Path(base).glob(".out*")):
                wrong.append(message)
            shutil.rmtree(copy)
    what = f"{cases} folders" if not wrong else ", ".join(wrong)
    return [
        Figure("bad folders that were taken, or left something behind", len(wrong), 0, "lower", command("bad"), what),
        Figure("bad folders: seconds until the slowest was refused", round(slowest, 2), 5, "lower", command("bad")),
    ]


def spoilt() -> Iterator[tuple[str, Callable[[Path], object], str]]:
    """Folder, how to spoil it, what is said."""
    for name, cases in (("tiny", SPOILT), ("tiny-dit", DIT_SPOILT)):
        for spoil, message in cases:
            yield name, spoil, message


def sdxl() -> list[Figure]:
    """What `make sdxl-full` has reported."""
    if not sdxl_full.REPORT.is_file():
        raise SystemExit(f"{sdxl_full.REPORT} is not there: run make sdxl-full first.")
    report = json.loads(sdxl_full.REPORT.read_text())
    components = report["components"]
    largest = max(components, key=lambda component: component["parity"]["worst"]["relative"])
    peak = max(component["peak_mib"] for component in components) / 1024
    weights = sum(component["parameters"] for component in components) / 1e9
    seconds = f"{report['seconds']:.0f} s, {weights:.2f} B weights"
    made = "make sdxl-full && python -m bench.export_marks sdxl"
    return [
        Figure(
            "SDXL inpainting with IP-Adapter, full size: largest difference from torch, fp32, relative",
            value=largest["parity"]["worst"]["relative"],
            mark=TOLERANCE["fp32"],
            better="lower",
            command=made,
            spread=largest["model"],
        ),
        Figure("the same: peak memory, GiB", round(peak, 1), 24, "lower", made, seconds),
    ]


MARKS: dict[str, Callable[[], list[Figure]]] = {
    "reference": reference,
    "engines": engines,
    "families": other_families,
    "adapters": adapters,
    "bad": bad_folders,
    "sdxl": sdxl,
}


def main() -> int:
    """Measures what is asked for; returns 1 if a mark is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench.export_marks", description=__doc__)
    parser.add_argument("marks", nargs="*", choices=[*MARKS, []], metavar="MARK", help=", ".join(MARKS))
    chosen = parser.parse_args().marks or [name for name in MARKS if name != "sdxl"]
    missed = 0
    for name in chosen:
        figures = MARKS[name]()
        # After each: what takes an hour should not be lost by what comes after it.
        record(AREA, *figures)
        for figure in figures:
            console.print(f"{figure.name}: {figure.value:g} ({'met' if figure.met else 'missed'}: {figure.mark:g})")
        missed += sum(not figure.met for figure in figures)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

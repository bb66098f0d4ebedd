"""The final tables of an export, and its report as JSON."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from rich import box
from rich.table import Table

from export.engines.builds import Engine
from export.report import ComponentReport, Conditioning, ExportReport, ModelReport, PictureReport
from export.survey import Survey

COLUMNS = (
    "component",
    "weights",
    "graph",
    "files",
    "time",
    "made",
    "memory",
    "precision",
    "random",
    "real",
    "rounding",
    "rows",
)
LIBRARIES = ("torch", "diffusers", "transformers", "onnx", "onnxruntime")


def write_report(path: Path, export: ExportReport, seconds: float) -> None:
    """Writes the report as JSON; the tables show the same to readers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "seconds": round(seconds, 1),
        "versions": {name: metadata.version(name) for name in LIBRARIES},
        "components": [component.to_json() for component in export.models],
        "pictures": [picture.to_json() for picture in export.pictures],
    }
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def plain_table(headings: Sequence[str], caption: str = "") -> Table:
    """A table whose first column is a name and whose others are numbers."""
    result = Table(box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1), caption=caption or None)
    for heading in headings:
        result.add_column(heading, justify="left" if heading == headings[0] else "right", no_wrap=True)
    return result


def table(exported: Sequence[ModelReport]) -> Table:
    """One line to a component: size, time, memory, and how far it is from torch."""
    tolerances = " or ".join(sorted({f"{component.parity.tolerance:.0e}" for component in exported}))
    result = plain_table(
        COLUMNS,
        f"graph: model.onnx, files: the weights beside it; time: kept where nothing has changed; made: what the graph "
        f"took, now or earlier; memory: the process's peak, then or now; random, real: largest relative difference "
        f"from torch in FP32 with the folder's weights, by inputs (at most {tolerances}); rounding: the part of "
        f"--storage fp16 in it; rows: whether a row is the same in any batch",
    )
    for component in exported:
        report = component.parity
        result.add_row(
            component.model,
            f"{component.parameters / 1e6:.2f} M",
            f"{component.disk.graph / 1e3:.0f} kB",
            f"{component.disk.files / 1e6:.1f} MB",
            "kept" if component.kept else f"{component.seconds:.0f} s",
            "–" if component.cost is None else f"{component.cost.seconds:.0f} s",
            f"{peak_of(component):.0f} MiB",
            report.precision,
            difference_of(report, "random"),
            difference_of(report, "real"),
            f"{report.rounding:.0e}" if report.rounding else "–",
            "exact" if report.exact else "[yellow]vary[/yellow]",
        )
    return result


def peak_of(component: ModelReport) -> float:
    """The most memory that making the graph or comparing it took, in MiB."""
    return max(component.peak_mib, 0.0 if component.cost is None else component.cost.peak_mib)


def difference_of(report: ComponentReport, conditioning: Conditioning) -> str:
    """The largest difference among some inputs, or a dash."""
    worst = report.worst_of(conditioning)
    return "–" if worst is None else f"{worst.relative:.0e}"


def pictures_table(pictures: Sequence[PictureReport]) -> Table:
    """One line to a pipeline: its pictures compared with torch's."""
    result = plain_table(
        ("pipeline", "precision", "pictures", "steps", "largest", "PSNR", "at least"),
        "largest: difference of a pixel from torch in FP32, in steps of 255; PSNR: of the worst picture",
    )
    for picture in pictures:
        result.add_row(
            picture.pipeline,
            picture.precision,
            str(picture.pictures),
            str(picture.steps),
            str(picture.largest),
            f"{picture.psnr:.0f} dB",
            f"{picture.least:.0f} dB",
        )
    return result


def engines_table(engines: Sequence[Engine]) -> Table:
    """One line to an engine."""
    result = plain_table(("engine", "size", "time", "precision", "shapes", "built by", "GPU"))
    for engine in engines:
        identity = engine.identity
        result.add_row(
            engine.model,
            f"{engine.size / 1e6:.1f} MB",
            f"{engine.seconds:.0f} s" if engine.seconds else "kept",
            identity.precision,
            identity.shapes,
            f"{identity.builder} {identity.version}",
            f"sm{identity.compute_capability}",
        )
    return result


def survey_table(survey: Survey) -> Table:
    """One line to what a folder holds."""
    result = plain_table(("becomes", "from", "class", "weights", "stored", "size", "precision"), survey.title)
    for part in survey.parts:
        result.add_row(
            part.model,
            part.folder,
            part.cls,
            f"{part.parameters / 1e6:.2f} M",
            part.stored,
            f"{part.size / 1e6:.1f} MB",
            part.precision,
        )
    return result


def store_of(options: argparse.Namespace) -> Path:
    """Where engines go that are built here."""
    store: Path | None = getattr(options, "store", None)
    return store if store is not None else Path(options.work) / "engines"

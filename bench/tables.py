"""Writes the generated parts of README and docs: tables of figures, and the table of errors.

usage: python -m bench.tables [--check]

A generated part stands between `<!-- generated: NAME -->` and `<!-- end -->`; everything else is left as it is.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from backdrop.errors import ERRORS
from bench import (
    audit_tables,
    checkpoint_tables,
    contract_tables,
    input_tables,
    key_tables,
    lora_tables,
    promise_tables,
    report,
    security_tables,
)
from bench.figures import FOLDER, ROOT, detail, load
from export.report import LEAST_PSNR, TOLERANCE, ComponentReport, Conditioning, PictureReport

_PART = re.compile(r"(<!-- generated: (?P<name>[\w:-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
FILES = (
    "README.md",
    "docs/audit.md",
    "docs/errors.md",
    "docs/export.md",
    "docs/figures.md",
    "docs/inputs.md",
    "docs/models.md",
    "docs/options.md",
    "docs/performance.md",
    "docs/security.md",
    "docs/reliability.md",
)


def figures_table(area: str) -> str:
    """The rows of an area as a Markdown table."""
    return _rows_table([*load(area), *load(detail(area))])


def marks_table(area: str) -> str:
    """Those rows of an area that have a mark."""
    return _rows_table(load(area))


HEADLINE = (
    ("end_to_end", "demo: seconds for 4 variants, top 2"),
    ("end_to_end", "largest difference inside the product, hard masks, PNG"),
    ("end_to_end", "pictures that differ: alone, among 8, by their seed"),
    ("performance", "throughput, backdrop ÷ inprocess"),
    ("performance", "one lonely request, latency, backdrop ÷ inprocess"),
    ("performance", "P95 of 4-step jobs while 50-step jobs run ÷ alone, interactive"),
    ("performance", "early dropping of weak variants: row-steps saved at equal reward"),
    ("kubernetes", "requests lost while every pod of orchestrator and Triton is replaced"),
)
"""The figures that README shows."""


def headline_table(_: str = "") -> str:
    """README's figures, without their spreads."""
    rows = {(area, row["name"]): row for area in {area for area, _ in HEADLINE} for row in load(area)}
    lines = ["| figure | measured | mark |", "|---|---|---|"]
    for key in HEADLINE:
        row, sign = rows[key], "≥" if rows[key]["better"] == "higher" else "≤"
        lines.append(f"| {row['name']} | {row['value']:.3g} | {sign} {row['mark']:g} |")
    return "\n".join(lines) + "\n"


def _rows_table(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = ["| figure | measured | mark | command |", "|---|---|---|---|"]
    for row in rows:
        sign = "≥" if row["better"] == "higher" else "≤"
        spread = f" ({row['spread']})" if row.get("spread") else ""
        missed = f"; missed: {row['why']}" if row.get("why") else ""
        mark = "reported" if row["mark"] is None else f"{sign} {row['mark']:g}{missed}"
        lines.append(f"| {row['name']} | {row['value']:g}{spread} | {mark} | `{row['command']}` |")
    return "\n".join(lines) + "\n"


def errors_table(_: str = "") -> str:
    """The error table as Markdown."""
    lines = ["| reason | status | class | meaning |", "|---|---|---|---|"]
    for reason, row in ERRORS.items():
        lines.append(f"| `{reason}` | {row.error.code.name} | `{row.error.__name__}` | {row.meaning} |")
    return "\n".join(lines) + "\n"


def tolerances_table(_: str = "") -> str:
    """How far a graph may be from torch, by its precision."""
    lines = ["| precision | relative difference of a component | PSNR of a picture |", "|---|---|---|"]
    lines += [
        f"| {precision} | ≤ {tolerance:g} | ≥ {LEAST_PSNR[precision]:g} dB |"
        for precision, tolerance in TOLERANCE.items()
    ]
    return "\n".join(lines) + "\n"


def parity_table(_: str = "") -> str:
    """How far each graph of the shipped repository is from torch."""
    report = json.loads((FOLDER / "parity.json").read_text())
    lines = [
        "| component | weights | precision | worst output | random inputs | real inputs | rows |",
        "|---|---|---|---|---|---|---|",
    ]
    for component in report["components"]:
        parity = ComponentReport.from_json(component["parity"], component["model"])
        exact = "the same to the bit in any batch" if parity.exact else "vary with their batch"
        lines.append(
            f"| `{parity.model}` | {component['parameters'] / 1e6:.2f} M | {parity.precision} | "
            f"`{parity.worst.output}` | {_relative(parity, 'random')} | {_relative(parity, 'real')} | {exact} |"
        )
    return "\n".join(lines) + "\n"


def _relative(report: ComponentReport, conditioning: Conditioning) -> str:
    worst = report.worst_of(conditioning)
    return "–" if worst is None else f"{worst.relative:.1e}"


def pictures_table(_: str = "") -> str:
    """How far the pictures of the shipped pipelines are from torch's."""
    lines = ["| pipeline | pictures | steps | largest difference, of 255 | PSNR |", "|---|---|---|---|---|"]
    for row in json.loads((FOLDER / "parity.json").read_text())["pictures"]:
        picture = PictureReport.from_json(row, row["pipeline"])
        cells = (f"`{picture.pipeline}`", picture.pictures, picture.steps, picture.largest, f"{picture.psnr:.0f} dB")
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"


_MAKERS: dict[str, Callable[[str], str]] = {
    "figures": figures_table,
    "marks": marks_table,
    "headline": headline_table,
    "errors": errors_table,
    "audit": audit_tables.records_table,
    "options": contract_tables.options_table,
    "tasks": contract_tables.tasks_table,
    "fields": contract_tables.fields_table,
    "warnings": input_tables.warnings_table,
    "effects": input_tables.effects_table,
    "picture-faults": input_tables.picture_faults_table,
    "mask-faults": input_tables.mask_faults_table,
    "pil-modes": input_tables.modes_table,
    "input-limits": input_tables.limits_table,
    "tolerances": tolerances_table,
    "parity": parity_table,
    "pictures": pictures_table,
    "replicas": report.replicas_table,
    "sweeps": report.sweep_table,
    "tuning": report.tuning_table,
    "promises": promise_tables.promises_table,
    "savers": report.savers_table,
    "shapes": report.shapes_table,
    **lora_tables.MAKERS,
    **checkpoint_tables.MAKERS,
    **key_tables.MAKERS,
    **security_tables.MAKERS,
}


def fill(text: str) -> str:
    """Replaces every generated part of `text`."""

    def part(match: re.Match[str]) -> str:
        kind, _, argument = match["name"].partition(":")
        return match[1] + _MAKERS[kind](argument) + match[3]

    return _PART.sub(part, text)


def stale() -> list[Path]:
    """Files whose generated parts are not what the data says now."""
    files = [ROOT / name for name in FILES if (ROOT / name).exists()]
    return [file for file in files if fill(file.read_text()) != file.read_text()]


def main() -> int:
    """Rewrites the files, or with --check only says which are stale (exit status 1)."""
    parser = argparse.ArgumentParser(prog="python -m bench.tables", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 when a table is stale")
    check = parser.parse_args().check
    for file in (files := stale()):
        sys.stdout.write(f"{file.relative_to(ROOT)} {'is stale' if check else 'written'}\n")
        if not check:
            file.write_text(fill(file.read_text()))
    return 1 if check and files else 0


if __name__ == "__main__":
    sys.exit(main())

"""`python -m export`: diffusers folders to a Triton repository, on the command line."""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table

from export.errors import ExportError

if TYPE_CHECKING:
    # At run time only when it is needed: it brings torch, and --help should not wait for torch.
    from export.adapters import Order
    from export.run import Exported

COLUMNS = ("component", "weights", "graph", "files", "time", "memory", "parity", "rows")
DESCRIPTION = """\
Exports every component of diffusers-layout inpainting pipelines to ONNX, compares each with torch, and writes a
Triton model repository. The repository appears as a whole or not at all. Only safetensors weights are read.
A pipeline is called what its folder is; components that folders share are exported once."""


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(prog="python -m export", description=DESCRIPTION)
    parser.add_argument(
        "--pipeline",
        type=Path,
        required=True,
        action="append",
        dest="pipelines",
        metavar="FOLDER",
        help="a diffusers folder to read; may be given several times",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="the Triton repository to write")
    parser.add_argument(
        "--default", metavar="NAME", help="the pipeline of requests that name none (default: the first)"
    )
    parser.add_argument("--components", metavar="A,B", help="export only these into a repository that has the others")
    parser.add_argument(
        "--adapter",
        action="append",
        default=[],
        dest="adapters",
        metavar="[PIPELINE:]NAME=FILE",
        help="a LoRA that rows of the denoiser may name (default pipeline: the first); may be given several times",
    )
    parser.add_argument("--adapter-rows", type=int, metavar="N", help="adapters that a denoiser has room for (4)")
    parser.add_argument("--adapter-rank", type=int, metavar="R", help="rank that it has room for (default: the files')")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write the parity report here, as JSON")
    return parser.parse_args(arguments)


def order(options: argparse.Namespace) -> Order | None:
    """The adapters that the command line asks for.

    Raises:
        ExportError: if one is not written as NAME=FILE, or rows and rank are not positive.
    """
    from export.adapters import CAPACITY, Order, Wanted

    found = []
    for text in options.adapters:
        match = re.fullmatch(r"(?:([\w.-]+):)?([A-Za-z0-9][\w.-]*)=(.+)", text)
        if match is None:
            raise ExportError(f"--adapter {text!r} is not NAME=FILE or PIPELINE:NAME=FILE.")
        found.append(Wanted(match[2], Path(match[3]), match[1]))
    for option, number in (("rows", options.adapter_rows), ("rank", options.adapter_rank)):
        if number is not None and number < 1:
            raise ExportError(f"--adapter-{option} {number} is not a positive number.")
    return Order(tuple(found), options.adapter_rows or CAPACITY, options.adapter_rank) if found else None


def quiet() -> None:
    """Silences the libraries' progress bars and advice; what goes wrong still arrives as an exception."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    libraries: tuple[Any, ...] = (diffusers_logging, transformers_logging)
    for library in libraries:
        library.set_verbosity_error()
        library.disable_progress_bar()


def main(arguments: list[str] | None = None) -> int:
    """Runs an export; returns 0, or 1 with one sentence on stderr."""
    options, console = parse(arguments), Console(stderr=True)
    # Checked before torch is imported: a wrong path should not take seconds to be told.
    for folder in options.pipelines:
        if not folder.is_dir():
            console.print(f"[red]{folder} is not a folder.[/red]", soft_wrap=True)
            return 1
    started = time.monotonic()
    try:
        with console.status("starting") as status:
            from export.run import export_pipelines

            def progress(name: str, what: str) -> None:
                status.update(f"{name}: {what}")
                # A log has no status line; there, one line a step. What a component took is worth a line anywhere.
                if not console.is_terminal or what.startswith("done"):
                    console.print(f"{name}: {what}")

            quiet()
            names = None if options.components is None else [name.strip() for name in options.components.split(",")]
            exported = export_pipelines(
                options.pipelines, options.out, progress, names=names, default=options.default, wanted=order(options)
            )
    except ExportError as error:
        console.print(f"[red]{error}[/red]", soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("interrupted; nothing was changed")
        return 130
    seconds = time.monotonic() - started
    if options.report is not None:
        write_report(options.report, exported, seconds)
    console.print(table(exported))
    console.print(f"{options.out} is ready: {len(exported)} components in {seconds:.0f} s.", soft_wrap=True)
    return 0


def write_report(path: Path, exported: Sequence[Exported], seconds: float) -> None:
    """Writes the machine's half of the report; the table is the reader's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    versions = {name: metadata.version(name) for name in ("torch", "diffusers", "transformers", "onnx", "onnxruntime")}
    content = {
        "seconds": round(seconds, 1),
        "versions": versions,
        "components": [component.to_json() for component in exported],
    }
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def table(exported: Sequence[Exported]) -> Table:
    """One line to a component: size, time, memory, and how far it is from torch."""
    tolerances = " or ".join(sorted({f"{component.parity.tolerance:.0e}" for component in exported}))
    found = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 0, 0, 1),
        caption=f"graph: model.onnx, files: the weights beside it; parity: largest relative difference from torch (at "
        f"most {tolerances}); rows: whether a row is the same to the bit in any batch",
    )
    for heading in COLUMNS:
        found.add_column(heading, justify="left" if heading == "component" else "right", no_wrap=True)
    for component in exported:
        report = component.parity
        found.add_row(
            component.model,
            f"{component.parameters / 1e6:.2f} M",
            f"{component.written.graph / 1e3:.0f} kB",
            f"{component.written.files / 1e6:.1f} MB",
            f"{component.seconds:.0f} s",
            f"{component.peak_mib:.0f} MiB",
            f"{report.worst.relative:.0e}",
            "exact" if report.exact else "[yellow]vary[/yellow]",
        )
    return found


if __name__ == "__main__":
    sys.exit(main())

"""`python -m export`: diffusers folders to a Triton repository, on the command line."""

from __future__ import annotations

import argparse
import sys
import time

from rich.console import Console

from export import signing, steps, trying
from export.command import parse
from export.convert import convert
from export.errors import ExportError
from export.pipeline_path import expect_pipeline
from export.progress import ProgressDisplay
from export.upscaler_step import add_upscaler


def main(arguments: list[str] | None = None) -> int:
    """Runs one step; returns 0, or 1 with one sentence on stderr."""
    # Tables in a log are not cut at 80 characters.
    options, console = parse(arguments), Console(stderr=True, width=None if sys.stderr.isatty() else 120)
    try:
        return run(options, console)
    except ExportError as error:
        console.print(f"[red]{error}[/red]", soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("interrupted; nothing was changed")
        return 130


def run(options: argparse.Namespace, console: Console) -> int:
    """Runs one step; returns the exit status."""
    if options.step == "convert":
        convert(options.file, options.folder, options.config)
        console.print(f"{options.folder} is ready: give it as --pipeline.", soft_wrap=True, highlight=False)
        return 0
    if options.step in ("key", "sign"):
        sentence = (
            signing.make_key(options.file, options.password_file, encrypted=not options.no_password)
            if options.step == "key"
            else signing.sign(options.out, options.key, options.comment, options.password_file)
        )
        console.print(sentence, soft_wrap=True, highlight=False)
        return 0
    if options.step == "upscaler":
        with ProgressDisplay(console) as progress:
            sentences = add_upscaler(options.file, options.out, options.pipeline, options.name, progress)
        console.print("\n".join(sentences), soft_wrap=True, highlight=False)
        return 0
    # Checked first: a wrong path should be reported at once.
    for folder in getattr(options, "pipelines", ()):
        expect_pipeline(folder)
    if options.step == "inspect":
        return steps.inspect(options, console)
    if options.step == "try":
        trying.try_repository(options, console)
        return 0
    if options.step in ("prune", "switch"):
        steps.change_versions(options, console)
        return 0
    started = time.monotonic()
    with ProgressDisplay(console) as progress:
        result = steps.run_step(options, progress)
    result.show(console, options, time.monotonic() - started)
    return 0


if __name__ == "__main__":
    sys.exit(main())

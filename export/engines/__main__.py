"""`python -m export.engines`: what a GPU node runs before Triton, and the job that builds engines for it.

    build   builds what the shared store has not yet; several nodes may start at once, each engine is built by one
    check   says whether this node may serve what the store has, and else what to do
    serve   check, then writes the folder that Triton reads on this node; with --build-missing, build before it

Needs TensorRT and a repository that was exported with --target tensorrt; no torch, no pipeline folder.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from export.engines import seam
from export.engines.builds import build_all
from export.engines.checker import check_engines
from export.engines.collect import collect, mark_used
from export.engines.view import make_view
from export.errors import ExportError


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m export.engines", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("step", choices=("build", "check", "serve"))
    parser.add_argument("--repository", type=Path, required=True, metavar="FOLDER", help="the Triton repository")
    parser.add_argument("--store", type=Path, required=True, metavar="FOLDER", help="engines, shared between nodes")
    parser.add_argument("--view", type=Path, metavar="FOLDER", help="serve: the folder to write, this node's own")
    parser.add_argument("--build-missing", action="store_true", help="serve: build what the store has not yet")
    parser.add_argument("--model", action="append", default=[], metavar="NAME", help="only this model; repeatable")
    parser.add_argument(
        "--keep-days", type=float, metavar="N", help="serve: remove engines that no node has used for N days"
    )
    parser.add_argument("--builder", choices=seam.BUILDERS, help="(default: the first that is installed)")
    add_build_options(parser)
    options = parser.parse_args(arguments)
    if options.step == "serve" and options.view is None:
        parser.error("serve needs --view")
    return options


def add_build_options(parser: argparse.ArgumentParser) -> None:
    """Properties of an engine that cost speed."""
    parser.add_argument(
        "--version-compatible", action="store_true", help="engines that later minor versions of TensorRT load too"
    )
    parser.add_argument(
        "--hardware",
        choices=("none", "ampere_plus", "same_compute_capability"),
        default="none",
        help="which other GPUs may load an engine (none: the one it was built on)",
    )
    parser.add_argument(
        "--timing-cache",
        type=Path,
        metavar="FILE",
        help="measured kernels, kept from build to build; the name gets an ending for each kind of GPU",
    )


def build_options(options: argparse.Namespace) -> seam.BuildOptions:
    """The options that `add_build_options` has added."""
    return seam.BuildOptions(options.version_compatible, options.hardware, options.timing_cache)


def main(arguments: list[str] | None = None) -> int:
    """Runs one step; returns 0, or 1 with one sentence on stderr."""
    options = parse(arguments)
    try:
        builder, building = seam.find(options.builder), build_options(options)
        target = seam.local_target(builder, building)
        if options.step == "build" or options.build_missing:
            built = build_all(options.repository, options.store, builder, target, building, say, options.model)
            sys.stderr.write(f"{len(built)} engines are in {options.store}\n")
            if options.step == "build":
                return 0
        engines = check_engines(options.repository, options.store, target, options.model)
        if options.step == "serve":
            make_view(options.repository, options.store, engines, options.view)
            mark_used(options.store, engines.values())
            if options.keep_days is not None:
                for folder in collect(options.store, engines.values(), options.keep_days):
                    say(str(folder.relative_to(options.store)), f"removed; not used for {options.keep_days:g} days")
        sys.stderr.write(f"{len(engines)} engines fit this node\n")
    except ExportError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def say(name: str, what: str) -> None:
    """A line of the container's log."""
    sys.stderr.write(f"{name}: {what}\n")


if __name__ == "__main__":
    sys.exit(main())

"""Folders that diffusers' own pipelines saved, from the documented command line to a picture."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from bench.figures import ROOT, Figure, at_most
from tests.export.oracle.folders import FAMILIES

COMMAND = "python -m bench.checkpoint folders"
JUDGES = ROOT / "training" / "weights" / "backdrop"
console = Console(stderr=True, highlight=False)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How far one command line came.

    Attributes:
        name: the folder, and the options beside it.
        ready: whether the export said that the repository is ready.
        served: whether the cluster then made a picture.
    """

    name: str
    ready: bool
    served: bool


def run(*arguments: str) -> bool:
    """Runs a step of `python -m export`; prints what it said if it fails."""
    command = [sys.executable, "-m", "export", *arguments]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        console.print(result.stderr, markup=False, soft_wrap=True)
    return result.returncode == 0


def outcome(name: str, folder: Path, judges: tuple[str, ...], place: Path) -> Outcome:
    """Exports a folder, then tries the repository."""
    out, started = place / f"{name}-repository", time.monotonic()
    options = ("--pipeline", str(folder), "--out", str(out), "--work", str(place / "work"))
    ready = run("all", *options, *(text for role in judges for text in (f"--{role}", str(JUDGES))))
    served = ready and run("try", "--out", str(out), "--steps", "4", "--picture", str(place / f"{name}.png"))
    console.print(f"  {name}: ready {ready}, served {served}, {time.monotonic() - started:.0f} s")
    return Outcome(name, ready, served)


def figures() -> list[Figure]:
    """Every family as it is saved, and once more with our reward model and segmenter."""
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="backdrop-folders-") as temporary:
        place = Path(temporary)
        for name, write in FAMILIES.items():
            folder = place / name
            write(folder)
            outcomes.append(outcome(name, folder, (), place))
            judged = folder.rename(place / f"{name}-judged")
            outcomes.append(outcome(judged.name, judged, ("reward", "segmenter"), place))
    refused = [each.name for each in outcomes if not each.served]
    dead = [each.name for each in outcomes if each.ready and not each.served]
    spread = f"{len(FAMILIES)} families, without and with --reward and --segmenter"
    return [
        Figure(
            "folders saved by diffusers' pipelines that the documented commands do not serve",
            len(refused),
            at_most(0, ", ".join(refused)),
            COMMAND,
            spread,
        ),
        Figure(
            "`export all` said ready and the cluster did not start",
            len(dead),
            at_most(0, ", ".join(dead)),
            COMMAND,
            f"{len(outcomes)} exports",
        ),
    ]

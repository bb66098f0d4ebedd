"""checkov over rendered manifests: one run for all of them, in its own Python environment."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.k8s.rendering import OVERLAYS, ROOT, combinations, rendered

ENVIRONMENT = ROOT / ".venv-checkov"
"""Its pinned dependencies contradict ours, so `make checkov` installs it separately."""


@dataclass(frozen=True)
class Findings:
    """checkov's result: the number of passed checks, and one line for each failed or skipped check."""

    passed: int
    failed: tuple[str, ...]
    skipped: tuple[str, ...]


def checkov() -> str:
    """The command; skips the test where it is not installed."""
    ours = ENVIRONMENT / "bin" / "checkov"
    program = str(ours) if ours.is_file() else shutil.which("checkov")
    if program is None:
        pytest.skip("no checkov: install it with `make checkov`")
    return program


def check(folder: Path, framework: str = "kubernetes") -> Findings:
    """Every check of a framework over every file of a folder."""
    command = [checkov(), "--framework", framework, "--skip-download", "--directory", str(folder), "--output", "json"]
    # With an API key checkov would fetch custom rules from its vendor; these tests use the built-in ones.
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("BC_", "PRISMA_"))}
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert run.returncode in (0, 1), run.stderr
    results = json.loads(run.stdout)["results"]

    def lines(kind: str) -> tuple[str, ...]:
        return tuple(
            f"{entry['check_id']} {entry['check_name']}: {entry['resource']} in {Path(entry['file_path']).name}"
            for entry in results[f"{kind}_checks"]
        )

    return Findings(len(results["passed_checks"]), lines("failed"), lines("skipped"))


def everything(folder: Path, *counts: int) -> Findings:
    """Every overlay, alone and with every combination of the given numbers of components.

    Each different manifest is checked once: the 1,400 manifests of 39 renderings are 92 different ones.
    """
    manifests: dict[str, str] = {}
    for name, components in [*((name, ()) for name in OVERLAYS), *combinations(*counts)]:
        for number, manifest in enumerate(rendered(folder / "site", name, components).split("\n---\n")):
            manifests.setdefault(manifest.strip(), f"{'-'.join((name, *components))}-{number}.yaml")
    different = folder / "different"
    different.mkdir()
    for manifest, file in manifests.items():
        (different / file).write_text(f"{manifest}\n")
    return check(different)

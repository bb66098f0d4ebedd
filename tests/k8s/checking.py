"""checkov over rendered manifests and Dockerfiles: one run for all, in its own Python environment."""

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


UNFIT = ("CKV_K8S_15",)
"""It wants `imagePullPolicy: Always`, for tags that move. All our images are digests, and with Always a node that has
one could not start a pod while the registry is away."""


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


def check(folder: Path, *frameworks: str) -> dict[str, Findings]:
    """Every check of the frameworks over every file of a folder, in one run: checkov's start takes most of the time."""
    command = [checkov(), "--skip-download", "--directory", str(folder), "--output", "json"]
    command += ["--framework", *frameworks, "--skip-check", *UNFIT]
    # With an API key checkov would fetch custom rules from its vendor; these tests use the built-in ones.
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("BC_", "PRISMA_"))}
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert run.returncode in (0, 1), run.stderr
    reports = json.loads(run.stdout)
    # A single report stands alone.
    return {
        one["check_type"]: _findings(one["results"]) for one in (reports if isinstance(reports, list) else [reports])
    }


def _findings(results: dict[str, list[dict[str, str]]]) -> Findings:
    def lines(kind: str) -> tuple[str, ...]:
        return tuple(
            f"{entry['check_id']} {entry['check_name']}: {entry['resource']} in {Path(entry['file_path']).name}"
            for entry in results[f"{kind}_checks"]
        )

    return Findings(len(results["passed_checks"]), lines("failed"), lines("skipped"))


def different(folder: Path, *counts: int) -> Path:
    """Writes every overlay, alone and with every combination of the given numbers of components; returns the folder.

    Each different manifest is written once: the 1,400 manifests of 39 renderings are 92 different ones.
    """
    manifests: dict[str, str] = {}
    for name, components in [*((name, ()) for name in OVERLAYS), *combinations(*counts)]:
        for number, manifest in enumerate(rendered(folder / "site", name, components).split("\n---\n")):
            manifests.setdefault(manifest.strip(), f"{'-'.join((name, *components))}-{number}.yaml")
    target = folder / "different"
    target.mkdir()
    for manifest, file in manifests.items():
        (target / file).write_text(f"{manifest}\n")
    return target


def everything(folder: Path, *counts: int) -> Findings:
    """checkov's result on the manifests of `different`."""
    return check(different(folder, *counts), "kubernetes")["kubernetes"]

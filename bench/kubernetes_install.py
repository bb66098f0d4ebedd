"""Marks of installing and upgrading on Kubernetes: defects of the review, deadlocks, large repositories, smoke."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

from bench.figures import ROOT, Figure, at_most
from tests.k8s import large
from tests.k8s.defects import BEFORE, COUNT, DEFECTS
from tests.k8s.rendering import CLOUDS, combine, overlay
from tests.k8s.test_simulated_installs import SITES, deadlocks

_COMMAND = "python -m bench.kubernetes"
_SMOKE = "tests/k8s/test_caller_jobs.py::test_smoke_passes_and_says_why_not"


def defects() -> list[Figure]:
    """Defects whose tests do not all pass here, or of which none fails over the commit that the review read."""
    tests = sorted({test for defect in DEFECTS.values() for test in defect.tests})
    here = _outcomes(ROOT, tests)
    with _before() as checkout:
        before = _outcomes(checkout, tests)
    open_ones = [f"{number}: no tests" for number in range(1, COUNT + 1) if number not in DEFECTS]
    for number, defect in DEFECTS.items():
        now = [passed for test in defect.tests for passed in _of(here, test)]
        then = [passed for test in defect.tests for passed in _of(before, test)]
        if not now or not all(now):
            open_ones.append(f"{number}: fails now")
        elif then and all(then):
            open_ones.append(f"{number}: passed before")
    name = "the 18 defects: not mended, or without a case that failed before"
    spread = f"{len(here)} tests of {len(DEFECTS)} defects, here and over {BEFORE}"
    return [Figure(name, len(open_ones), at_most(0, "; ".join(open_ones)), f"{_COMMAND} defects", spread)]


@contextlib.contextmanager
def _before() -> Iterator[Path]:
    """A checkout of what the review read, with the tests of today."""
    with tempfile.TemporaryDirectory() as folder:
        checkout = Path(folder) / "checkout"
        subprocess.run(["git", "worktree", "add", "--detach", str(checkout), BEFORE], cwd=ROOT, check=True)
        try:
            shutil.rmtree(checkout / "tests")
            shutil.copytree(ROOT / "tests", checkout / "tests", ignore=shutil.ignore_patterns("__pycache__"))
            yield checkout
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(checkout)], cwd=ROOT, check=True)


def _outcomes(checkout: Path, tests: list[str]) -> dict[tuple[str, str], bool]:
    """Whether each test passes, by module and name. A module that cannot be imported counts as one failed test."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}"]
        # A test that is not there yet, or no longer, must not stop the others.
        command += ["--continue-on-collection-errors", *sorted({test.partition("::")[0] for test in tests})]
        subprocess.run(command, cwd=checkout, capture_output=True, check=False)
        cases = ElementTree.parse(report).iter("testcase")  # noqa: S314 — written by the line above
        outcomes = {}
        for case in cases:
            passed = not any(case.find(kind) is not None for kind in ("failure", "error", "skipped"))
            # A module that cannot be imported is a case without a class.
            module, name = case.get("classname") or case.get("name") or "", case.get("name") or ""
            outcomes[module, name] = passed
        return outcomes


def _of(outcomes: dict[tuple[str, str], bool], test: str) -> list[bool]:
    """The outcomes of a test id: a module, or a function with all its parameters."""
    file, _, function = test.partition("::")
    module = file.removesuffix(".py").replace("/", ".")
    return [
        passed
        for (where, name), passed in outcomes.items()
        if where == module and (not function or name.partition("[")[0] == function or name == module)
    ]


def installs() -> list[Figure]:
    """Simulated installs and upgrades, on as many GPUs as there are Tritons."""
    stuck, count = [], 0
    with tempfile.TemporaryDirectory() as folder:
        sites = [(name, combine(Path(folder) / str(at), name, parts)) for at, (name, parts) in enumerate(SITES)]
        for name, manifests in [*sites, *((cloud, overlay(cloud)) for cloud in CLOUDS)]:
            count += 3
            stuck += [f"{name}: {line}" for line in deadlocks(manifests)[:1]]
    name = "simulated: installs and upgrades on a fixed pool of N = replicas GPUs that deadlock"
    spread = f"{count}: an install, an upgrade of TensorRT and a rollback of {count // 3} renderings"
    return [Figure(name, len(stuck), at_most(0, "; ".join(stuck)), f"{_COMMAND} installs", spread)]


def repositories() -> list[Figure]:
    """A published repository of 20 GB in sparse files: start of an orchestrator, and what a GPU pod reads."""
    with tempfile.TemporaryDirectory() as folder:
        volume = Path(folder)
        repository = large.write_large(volume, 20 * large.GIGABYTE)
        times = []
        for number in range(5):
            log = volume / f"log-{number}"
            with large.orchestrator(repository, log) as (address, process):
                times.append(large.wait_until_live(address, process, log))
        files = large.read_by_a_gpu_pod(volume, repository)
    command = f"{_COMMAND} repositories"
    seconds = Figure(
        "a repository of 20 GB (sparse files): seconds until the orchestrator listens", round(max(times), 2),
        at_most(5, "the machine was busy"), command, f"slowest of {len(times)} starts; fastest {min(times):.2f}",
    )  # fmt: skip
    read = Figure(
        "a repository of 20 GB (sparse files): bytes that a GPU pod reads of what it never loads",
        large.never_loaded(files), at_most(0, ", ".join(file.name for file in files)), command,
        f"{len(files)} files opened by check-models and fit-engines: configs, pipeline.json and its mark",
    )  # fmt: skip
    return [seconds, read]


def smoke() -> list[Figure]:
    """The smoke test in the replayed overlay: as it is, and with two broken models."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "addopts=", _SMOKE]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    last = run.stdout.strip().splitlines()[-1]
    failed = 0 if run.returncode == 0 and "3 passed" in last else 1
    name = "smoke test in the replayed overlay: passes, and fails with the reason for a broken model; cases that do not"
    spread = f"{last.strip('= ')}: the reference, a decoder that returns zeros, and one that returns NaN"
    return [Figure(name, failed, at_most(0, last), f"{_COMMAND} smoke", spread)]

"""Served pictures are those of diffusers' own pipelines on the same folders, in process and by the real cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.export.oracle.cases import Bytes, Case, cases
from tests.export.oracle.in_process import InProcess
from tests.export.oracle.served import by_cluster, compare, in_process, oracle, write

QUICK = ("sd15-inpaint-soft", "sd3-hard")
"""Cases of the default suite; SDXL's are in test_in_process.py."""


def slow(case: Case) -> Any:
    return pytest.param(case, id=str(case), marks=() if str(case) in QUICK else pytest.mark.full)


def expect_equal(make: Callable[[Case], Bytes], work: Path, case: Case) -> None:
    comparison = compare(make, work, case)
    assert comparison.psnr >= (60 if case.default else 50), comparison
    assert comparison.largest <= 2 or not case.default, comparison


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders of the families, written when a case needs them."""
    return tmp_path_factory.mktemp("folders")


@pytest.fixture(scope="module")
def local() -> dict[str, InProcess]:
    """The families that were loaded already."""
    return {}


@pytest.mark.parametrize("case", [slow(case) for case in cases()])
def test_a_picture_made_in_process_is_that_of_diffusers(
    case: Case, folders: Path, local: dict[str, InProcess], tmp_path: Path
) -> None:
    if case.family not in local:
        loras = write(folders / case.family)
        local[case.family] = InProcess(folders / case.family, tmp_path, loras)
    expect_equal(in_process(local[case.family]), folders, case)


@pytest.fixture(scope="module")
def cluster_work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where folders and repository are written."""
    return tmp_path_factory.mktemp("oracle")


@pytest.fixture(scope="module")
def by_real_cluster(cluster_work: Path) -> Iterator[Callable[[Case], Bytes]]:
    """The cluster that serves the four families."""
    with oracle(cluster_work) as client:
        yield by_cluster(client)


@pytest.mark.full
@pytest.mark.cluster
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("case", list(cases()), ids=str)
def test_a_picture_of_the_cluster_is_that_of_diffusers(
    case: Case, by_real_cluster: Callable[[Case], Bytes], cluster_work: Path
) -> None:
    expect_equal(by_real_cluster, cluster_work, case)

"""A repository of 20 GB: the orchestrator listens first, and a GPU pod reads nothing that it does not load."""

from __future__ import annotations

from pathlib import Path

import pytest
from grpc_health.v1.health_pb2 import HealthCheckResponse

from tests.k8s import large


@pytest.mark.parametrize(
    "marked", [pytest.param(True, marks=pytest.mark.full), False], ids=["published", "without a mark"]
)
def test_the_orchestrator_listens_before_it_reads(tmp_path: Path, marked: bool) -> None:
    repository = large.write_large(tmp_path, 20 * large.GIGABYTE, marked=marked)
    with large.orchestrator(repository, tmp_path / "log") as (address, process):
        large.wait_until_live(address, process, tmp_path / "log")
        assert large.health(address, "") == HealthCheckResponse.NOT_SERVING
        assert process.poll() is None


@pytest.mark.full
def test_the_orchestrator_listens_before_there_is_a_repository(tmp_path: Path) -> None:
    with large.orchestrator(tmp_path / "repository", tmp_path / "log") as (address, process):
        large.wait_until_live(address, process, tmp_path / "log")
        assert large.health(address, "") == HealthCheckResponse.NOT_SERVING


def test_a_gpu_pod_reads_nothing_that_it_does_not_load(tmp_path: Path) -> None:
    repository = large.write_large(tmp_path, 20 * large.GIGABYTE)
    files = large.read_by_a_gpu_pod(tmp_path, repository)
    assert files, "the hook sees what is opened"
    assert large.never_loaded(files) == 0


def test_a_file_that_is_read_would_be_counted(tmp_path: Path) -> None:
    repository = large.write_large(tmp_path, 20 * large.GIGABYTE)
    with large.opened_below(repository) as files:
        (repository / "denoiser" / "1" / "model.onnx").open("rb").close()
    assert large.never_loaded(files) > large.GIGABYTE

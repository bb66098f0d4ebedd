"""The real cluster, started once a process on free ports, and the order in which tests are given to processes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from local.cluster import Cluster, Options
from orchestrator import allocator

ROOT = Path(__file__).resolve().parent.parent
_CLUSTER_FIXTURES = {"cluster", "cluster_endpoint", "triton_endpoint", "redis_url"}
_EXPORT_FIXTURES = {"tiny_repository", "half_repository", "whole_half_repository"}
_SMALL_BUCKETS = [[128, 128], [96, 128], [128, 96]]
_QUOTAS = {
    "BACKDROP_QUOTA_CONCURRENT_REQUESTS": "500",
    "BACKDROP_QUOTA_ROW_STEP_MEGAPIXELS_PER_MINUTE": "1e7",
    "BACKDROP_QUOTA_STORED_BYTES": str(2**30),
}
_SLOW_FOLDERS = {"export", "training"}


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Adds marks before pytest selects tests by marks, and orders the selected tests afterwards."""
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if fixtures & _CLUSTER_FIXTURES:
            item.add_marker("cluster")
        # Written into pytest's XML report, where `bench.field rows` and `bench.reliability promises` read them.
        for name in ("row", "promise"):
            item.user_properties += [(name, mark.args[0]) for mark in item.iter_markers(name)]
        if fixtures & _EXPORT_FIXTURES or item.path.relative_to(ROOT / "tests").parts[0] in _SLOW_FOLDERS:
            item.add_marker("slow")
    yield
    items[:] = in_order(items)


def in_order(items: list[pytest.Item]) -> list[pytest.Item]:
    """Tests of the cluster first; slow tests at the middle, where the second of two processes begins.

    xdist's work stealing gives each of two processes one half of this list. A process whose half is done takes tests
    from the end of the other's. So the cluster and the slow tests run at the same time, one process starts the cluster,
    and both processes end with quick tests.
    """
    cluster = [item for item in items if item.get_closest_marker("cluster")]
    others = [item for item in items if not item.get_closest_marker("cluster")]
    slow = [item for item in others if item.get_closest_marker("slow")]
    quick = [item for item in others if not item.get_closest_marker("slow")]
    middle = max(0, len(items) // 2 - len(cluster))
    return [*cluster, *quick[:middle], *slow, *quick[middle:]]


def run_folder(factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of a test run share."""
    base = factory.getbasetemp()
    # xdist gives each of its processes a folder below the run's.
    return base.parent if base.name.startswith("popen-") else base


@pytest.fixture(scope="module", autouse=True)
def settled() -> None:
    """Takes what is imported out of garbage collections: each would take half a second, and a walk asks for ten."""
    allocator.settle()


@pytest.fixture(scope="session")
def triton_repository() -> Path:
    """The model repository."""
    return ROOT / "triton_repo"


@pytest.fixture(scope="session")
def served_repository(triton_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with one more pipeline, `small`, the default: the models of the first, with pictures of a quarter.

    Most tests need a picture and no large one, and the decoder takes half a second of a processor for a whole one.
    """
    folder = tmp_path_factory.mktemp("served") / "repository"
    folder.mkdir()
    document = json.loads((triton_repository / "pipeline.json").read_text())
    small = {**document["pipelines"][document["default"]], "buckets": _SMALL_BUCKETS}
    document["pipelines"], document["default"] = {"small": small, **document["pipelines"]}, "small"
    (folder / "pipeline.json").write_text(json.dumps(document))
    for model in document["models"]:
        (folder / model).symlink_to(triton_repository / model)
    return folder


@pytest.fixture(scope="session")
def cluster(served_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The running cluster."""
    logs = tmp_path_factory.mktemp("cluster-logs")
    # Children get this environment. The quotas are those of `tests.contract.conftest`; no test reaches one.
    with (
        mock.patch.dict(os.environ, _QUOTAS),
        Cluster(Options(repository=served_repository, log_folder=logs, port=0)) as running,
    ):
        yield running


@pytest.fixture(scope="session")
def cluster_endpoint(cluster: Cluster) -> str:
    """host:port of the real orchestrator."""
    return cluster.endpoints.orchestrator


@pytest.fixture(scope="session")
def triton_endpoint(cluster: Cluster) -> str:
    """host:port of the real Triton."""
    return cluster.endpoints.triton[0]


@pytest.fixture(scope="session")
def redis_url(cluster: Cluster) -> str:
    """redis:// of the real Redis."""
    return cluster.endpoints.redis_url

"""The real cluster, started once a session on free ports: Redis, Triton and the orchestrator over `triton_repo/`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.cluster import Cluster, Options

ROOT = Path(__file__).resolve().parent.parent
_CLUSTER_FIXTURES = {"cluster", "cluster_endpoint", "triton_endpoint", "redis_url"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what runs against the session's cluster, so that `-m "not cluster"` leaves it out."""
    for item in items:
        if _CLUSTER_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker("cluster")


@pytest.fixture(scope="session")
def triton_repository() -> Path:
    """The model repository that is served."""
    return ROOT / "triton_repo"


@pytest.fixture(scope="session")
def cluster(triton_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The running cluster."""
    logs = tmp_path_factory.mktemp("cluster-logs")
    with Cluster(Options(repository=triton_repository, log_folder=logs, port=0)) as running:
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

"""The services that the suite holds to the contract: `fake` in this process, `real` on the session's cluster."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import grpc
import pytest

import backdrop
from backdrop.testing import FakeBackdrop

QUOTAS = {"concurrent_requests": 500, "row_step_megapixels_per_minute": 10.0**7, "stored_bytes": 2**30}
"""Of the session's cluster too: `tests.conftest` sets them."""


@pytest.fixture(scope="session", params=["fake", pytest.param("real", marks=pytest.mark.cluster)])
def endpoint(request: pytest.FixtureRequest) -> Iterator[str]:
    """host:port of a service that keeps the contract."""
    if request.param == "real":
        yield request.getfixturevalue("cluster_endpoint")
    else:
        # Steps that take time, so that there is something to cancel and to run out of time in.
        with FakeBackdrop(step_delay_s=0.005, quotas=QUOTAS) as fake:
            yield fake.endpoint


@pytest.fixture
async def client(endpoint: str) -> AsyncIterator[backdrop.AsyncClient]:
    """A client that shows every failure: it never tries again."""
    async with backdrop.AsyncClient(endpoint, retries=0, timeout_s=60.0) as client:
        yield client


@pytest.fixture
async def channel(endpoint: str) -> AsyncIterator[grpc.aio.Channel]:
    """A bare channel, for bytes that no client of ours would send."""
    async with grpc.aio.insecure_channel(endpoint, [("grpc.max_send_message_length", -1)]) as channel:
        yield channel

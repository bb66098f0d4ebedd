"""Shared memory with the real Triton: references are answered like bytes, before and after it was started anew."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Iterator

import numpy as np
import numpy.typing as npt
import pytest
from tritonclient.grpc.aio import InferenceServerClient

from local.cluster import Cluster, Options
from orchestrator.triton import Sharing, TritonPool, Wire
from orchestrator.triton.link import Access, Link
from orchestrator.triton.shared_memory import FOLDER, Region
from tests.local import small
from tests.orchestrator.triton.fake_triton import eventually
from tests.patience import PATIENCE_S

WIDTH = 4096
Array = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("shared")
    repository = small.write_repository(folder / "repository", width=WIDTH)
    with Cluster(Options(repository=repository, log_folder=folder / "logs", only=("triton",))) as cluster:
        yield cluster


@pytest.fixture(autouse=True)
def _patient_ending(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine does not keep the server from forgetting a region when its pool is closed."""
    monkeypatch.setattr("orchestrator.triton.link._CLOSE_TIMEOUT_S", PATIENCE_S)


@contextlib.asynccontextmanager
async def pool_on(triton: Cluster, sharing: Sharing = Sharing.ON) -> AsyncIterator[tuple[TritonPool, Wire, Region]]:
    region = Region(1 << 20, "backdrop_test_")
    wire = Wire(region)
    pool = TritonPool([triton.endpoints.triton[0]], wire=wire, sharing=sharing)
    await pool.start()
    try:
        yield pool, wire, region
    finally:
        await pool.close()


def restart(triton: Cluster) -> None:
    restarter = triton.restarter(lambda _: None)
    triton.children["triton-0"].signal(signal.SIGKILL)
    while not restarter.look():
        time.sleep(0.05)


async def regions(triton: Cluster) -> set[str]:
    async with InferenceServerClient(triton.endpoints.triton[0]) as client:
        return set((await client.get_system_shared_memory_status()).regions)


def link_of(pool: TritonPool) -> Link:
    (replica,) = pool._fleet.replicas.values()
    return replica._link


def constant(seed: int) -> Array:
    array = np.random.default_rng(seed).standard_normal((2, WIDTH), dtype=np.float32)
    array.flags.writeable = False
    return array


async def doubled(pool: TritonPool, array: Array) -> bool:
    return np.array_equal((await pool.infer("double", {"x": array}))["y"], 2 * array)


async def test_references_are_answered_like_bytes_and_nothing_stays(triton: Cluster) -> None:
    async with pool_on(triton) as (pool, wire, region):
        name, array = region.name, constant(1)
        assert await doubled(pool, array)
        await eventually(lambda: link_of(pool).access is Access.OPEN)
        for _ in range(3):
            assert await doubled(pool, array)
        assert region.used == array.nbytes
        others = [constant(seed) for seed in range(2, 20)]
        for _ in range(3):
            assert all(await asyncio.gather(*(doubled(pool, other) for other in others)))
        del others, array
        assert wire.remembered == 0
        assert region.used == 0
    assert name not in await regions(triton)
    assert not (FOLDER / name).exists()


async def test_a_server_started_anew_is_asked_again_and_no_call_fails(triton: Cluster) -> None:
    async with pool_on(triton) as (pool, _, _):
        array = constant(3)
        await doubled(pool, array)
        await eventually(lambda: link_of(pool).access is Access.OPEN)
        await asyncio.to_thread(restart, triton)
        await eventually(lambda: pool.ready_replicas == 1, within_s=10)
        # Several calls at once refer to what the new server does not know.
        assert all(await asyncio.gather(*(doubled(pool, array) for _ in range(8))))
        assert pool.ready_replicas == 1, "none of them puts it out of service"
        assert await doubled(pool, array)
        await eventually(lambda: link_of(pool).access is Access.OPEN)
        assert await doubled(pool, array)


async def test_a_server_that_cannot_open_the_region_gets_bytes(triton: Cluster) -> None:
    async with pool_on(triton) as (pool, _, region):
        (FOLDER / region.name).unlink()  # as on another host
        array = constant(4)
        for _ in range(3):
            assert await doubled(pool, array)
            await eventually(lambda: link_of(pool).access is Access.NONE)
        assert region.used == 0


async def test_a_server_that_knows_the_region_already_is_believed(triton: Cluster) -> None:
    async with pool_on(triton) as (pool, _, region):
        array = constant(7)
        await doubled(pool, array)
        await eventually(lambda: link_of(pool).access is Access.OPEN)
        assert link_of(pool).lost_region("Unable to find shared memory region: 'x'")  # though the region was not lost
        await doubled(pool, array)
        await eventually(lambda: link_of(pool).access is Access.OPEN)
        assert await doubled(pool, array)
        assert region.name in await regions(triton)


async def test_a_server_that_does_not_answer_is_asked_again() -> None:
    wire = Wire(Region(1 << 20, "backdrop_test_"))
    async with InferenceServerClient("127.0.0.1:9") as client:
        link = Link(wire, client, "127.0.0.1:9", shared=True)
        link.tensors({"x": constant(8)})
        assert link.access is Access.REQUESTED
        await eventually(lambda: link.access is Access.UNKNOWN)
        await link.close()
    wire.close()


async def test_servers_elsewhere_are_not_asked(triton: Cluster) -> None:
    async with pool_on(triton, Sharing.OFF) as (pool, _, region):
        array = constant(5)
        for _ in range(3):
            assert await doubled(pool, array)
        assert link_of(pool).access is Access.NONE
        assert region.name not in await regions(triton)


async def test_a_server_lets_go_of_the_regions_of_killed_orchestrators(triton: Cluster) -> None:
    dead = Region(1 << 16)
    async with InferenceServerClient(triton.endpoints.triton[0]) as client:
        await client.register_system_shared_memory(dead.name, dead.key, dead.size)
    assert dead.name in await regions(triton)
    dead.close()  # the kernel does as much for a process that is killed, once its file was swept
    async with pool_on(triton) as (pool, _, _):
        await doubled(pool, constant(6))
        await eventually(lambda: link_of(pool).access is Access.OPEN)
        assert dead.name not in await regions(triton)

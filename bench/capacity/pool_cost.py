"""The cost of a large pool to an orchestrator: processor seconds of a probe, and of choosing among many replicas."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from orchestrator.triton import PoolOptions, TritonPool
from orchestrator.triton.fleet import Fleet, least_loaded
from orchestrator.triton.replica import Replica, Standing

_INTERVAL_S = 0.5


class _Ready(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]  # generated code without types
    """Always ready."""

    async def ServerReady(  # noqa: N802  # gRPC's name
        self, request: object, context: object
    ) -> service_pb2.ServerReadyResponse:
        return service_pb2.ServerReadyResponse(ready=True)


async def answer() -> None:
    """Answers probes on every loopback address, on a port that it prints."""
    server = grpc.aio.server()
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(_Ready(), server)
    port = server.add_insecure_port("0.0.0.0:0")
    await server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await server.wait_for_termination()


def probe_s(replicas: int = 100, seconds: float = 10.0) -> float:
    """Processor seconds of this process for one probe, with so many replicas that are all ready."""
    command = [sys.executable, "-m", "bench.capacity.pool_cost"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        addresses = [f"127.7.{number // 250}.{number % 250 + 1}:{port}" for number in range(replicas)]
        try:
            return asyncio.run(_probing(addresses, seconds))
        finally:
            server.terminate()


async def _probing(addresses: list[str], seconds: float) -> float:
    pool = TritonPool(addresses, PoolOptions(probe_interval_s=_INTERVAL_S))
    await pool.start()
    await asyncio.sleep(1)
    before, began = time.process_time(), time.monotonic()
    await asyncio.sleep(seconds)
    spent, took = time.process_time() - before, time.monotonic() - began
    assert pool.ready_replicas == len(addresses)
    await pool.close()
    return spent / (len(addresses) * took / _INTERVAL_S)


async def choice_s(replicas: int = 1000, rounds: int = 2000) -> float:
    """Seconds of one choice, per replica."""
    fleet = Fleet()
    for number in range(replicas):
        replica = fleet.replicas[str(number)] = Replica(f"127.0.0.1:{number + 1}")
        replica.standing = Standing.READY
    tried: set[Replica] = set()
    began = time.perf_counter()
    for _ in range(rounds):
        # As the pool does it: the replicas that serve the model, without those tried already; of them the least loaded.
        chosen = least_loaded([replica for replica in fleet.usable("denoiser") if replica not in tried])
        chosen.outstanding += 1
    taken = (time.perf_counter() - began) / rounds / replicas
    await asyncio.gather(*(replica.close_now() for replica in fleet.replicas.values()))
    return taken


if __name__ == "__main__":
    asyncio.run(answer())

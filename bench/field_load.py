"""Marks of memory, refusals and silent links: many large pictures at once, on a real local cluster."""

from __future__ import annotations

import asyncio
import collections
import concurrent.futures
import io
import json
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from PIL import Image

import backdrop
from backdrop.contract.metadata import admission_metadata
from backdrop.v1 import generation_service_pb2 as pb
from bench.burst import METHOD, Connection, start
from bench.figures import Figure, at_most
from local.__main__ import LAUNCHED_NICE
from local.cluster import Cluster, Options
from local.guard import descendants
from tests.faults.proxy import Proxy, through_silence

SIZE = (4096, 3906)
"""Just under 16 megapixels."""
AT_ONCE = 80
_WARM = 24
_SETTLE_S = 8.0
_SENDERS, _EACH = 4, 50
# The deadline of the refused calls tells them from the others in the log.
_DEADLINE_S, _TIMEOUT = 9.9, "9900m"
_RESOURCE_EXHAUSTED = "8"
_FILL_S = 12.0
"""By then the requests that run have begun their steps."""
_BURSTS = 9
_WHY_REFUSALS = (
    "other processes compete with the orchestrator for the two cores; alone it takes 44 ms, and a bare server that only"
    " aborts 31 ms (decision 28)"
)
QUICK: dict[str, Any] = {"pipeline": "backdrop-fast", "steps": 1, "guidance_scale": 1.0, "prompt": "a beach"}


def large_product(seed: int = 0) -> bytes:
    """A PNG of 16 megapixels and about 70 KB: a coloured ellipse that is cut out."""
    width, height = SIZE
    rows, columns = np.ogrid[0:height, 0:width]
    inside = ((rows / height - 0.5) ** 2 + (columns / width - 0.5) ** 2) < 0.06
    picture = np.zeros((height, width, 4), np.uint8)
    picture[inside] = (40 + 30 * (seed % 7), 120, 200 - 20 * (seed % 5), 255)
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


@contextmanager
def running_cluster(repository: Path = Options.repository) -> Iterator[tuple[str, int, Path]]:
    """Endpoint, process id and log of the orchestrator of a cluster of its own."""
    with (
        tempfile.TemporaryDirectory(prefix="backdrop-field-") as folder,
        Cluster(Options(repository, port=0, log_folder=Path(folder), models_nice=LAUNCHED_NICE)) as cluster,
    ):
        yield cluster.endpoints.orchestrator, cluster.children["orchestrator"].pid, Path(folder, "orchestrator.log")


def memory_mib(pid: int, field: str) -> float:
    """A line of /proc/PID/status in MiB, of a process and all below it: VmRSS now, VmHWM at most since `forget_peak`.

    The sum of peaks is at least the peak of the sum.
    """
    total = 0
    for each in (pid, *descendants(pid)):
        lines = Path(f"/proc/{each}/status").read_text().splitlines()
        total += next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))
    return total / 1024


def forget_peak(pid: int) -> None:
    """Sets VmHWM to VmRSS, of a process and all below it."""
    for each in (pid, *descendants(pid)):
        Path(f"/proc/{each}/clear_refs").write_text("5")


async def burst(endpoint: str, products: list[bytes], count: int) -> collections.Counter[str]:
    """Sends `count` requests at once; counts how they ended."""
    outcomes: collections.Counter[str] = collections.Counter()

    async def one(client: backdrop.AsyncClient, number: int) -> None:
        task = backdrop.Background(products[number % len(products)])
        try:
            result = await client.generate(task, seed=number, **QUICK)
            outcomes["picture" if result.best.receipt is not None else "no receipt"] += 1
        except backdrop.OverloadedError as refusal:
            outcomes["refused" if refusal.retry_after_s else f"refused without a time: {refusal}"] += 1
        except Exception as problem:  # whatever it is, it is counted
            outcomes[f"{type(problem).__name__}: {problem}"] += 1

    async with backdrop.AsyncClient(endpoint, timeout_s=1800, retries=0) as client:
        await asyncio.gather(*(one(client, number) for number in range(count)))
    return outcomes


def memory(command: str) -> list[Figure]:
    """The peak of the orchestrator and its decoders under 80 requests of 16 megapixels, and what they keep."""
    products = [large_product(seed) for seed in range(4)]
    with running_cluster() as (endpoint, pid, _):
        warm = asyncio.run(burst(endpoint, products, _WARM))
        time.sleep(_SETTLE_S)
        before = memory_mib(pid, "VmRSS")
        forget_peak(pid)
        outcomes = asyncio.run(burst(endpoint, products, AT_ONCE))
        peak = memory_mib(pid, "VmHWM")
        time.sleep(_SETTLE_S)
        after = memory_mib(pid, "VmRSS")
    bad = {outcome: count for outcome, count in outcomes.items() if outcome not in ("picture", "refused")}
    said = f"{dict(outcomes)}; {before:.0f} MiB before, after {sum(warm.values())} requests, and {after:.0f} after"
    name = f"{AT_ONCE} requests at once of 16 megapixels"
    return [
        Figure(f"{name}: peak of the orchestrator, MiB", round(peak), at_most(1536), command, said),
        Figure(f"{name}: neither picture nor time to retry", sum(bad.values()), at_most(0, str(bad)), command, said),
        Figure(f"{name}: memory after ÷ before", round(after / before, 3), at_most(1.3), command, said),
    ]


def refusals(command: str) -> list[Figure]:
    """How long 200 refusals take at once, while as many requests run and wait as the server takes."""
    message = pb.GenerateRequest(
        background=pb.BackgroundTask(product=large_product()),
        conditioning=pb.Conditioning(prompt="a beach"),
        sampling=pb.Sampling(steps=50, pipeline="backdrop"),
        selection=pb.Selection(variants=8),
    )
    data, metadata = message.SerializeToString(), admission_metadata(message.priority, message.idempotency_key)
    with (
        running_cluster() as (endpoint, _, log),
        concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool,
    ):
        filling = pool.submit(_fill, endpoint, data)
        time.sleep(_FILL_S)
        bursts, sent = [], 0
        for _ in range(_BURSTS):
            before = len(log.read_text())
            senders = [Connection(endpoint, data, _EACH, _TIMEOUT, metadata) for _ in range(_SENDERS)]
            statuses = collections.Counter(start(senders, settle_s=1.0))
            if set(statuses) != {_RESOURCE_EXHAUSTED}:
                raise RuntimeError(f"not all requests were refused: gRPC statuses {dict(statuses)}")
            bursts.append(sorted(_refusal_ms(log.read_text()[before:])))
            sent += sum(sender.body_bytes for sender in senders)
        filling.result()
    p99s = [each[int(0.99 * (len(each) - 1))] for each in bursts]
    medians = [each[len(each) // 2] for each in bursts]
    kilobytes = sent / _BURSTS / _SENDERS / _EACH / 1000
    said = (
        f"median of {_BURSTS} bursts: {_listed(p99s)}; their medians {_listed(medians)}; of each message's"
        f" {len(data) / 1000:.0f} kB {kilobytes:.1f} were sent"
    )
    name = "200 requests at once beyond capacity: 99th percentile of the refusals, ms"
    return [Figure(name, round(statistics.median(p99s), 1), at_most(50, _WHY_REFUSALS), command, said)]


def _listed(values: list[float]) -> str:
    return ", ".join(f"{value:.0f}" for value in values)


def _fill(endpoint: str, message: bytes) -> None:
    with grpc.insecure_channel(endpoint, [("grpc.enable_http_proxy", 0)]) as channel:
        generate = channel.unary_stream(METHOD, None, None)
        calls = [generate(message, timeout=600) for _ in range(AT_ONCE)]
        time.sleep(_FILL_S + 4.0 * _BURSTS)
        for call in calls:
            call.cancel()  # type: ignore[no-untyped-call]  # grpc's stubs


def _refusal_ms(log: str) -> Iterator[float]:
    """From the first byte of each refused request to its refusal.

    gRPC starts a call's deadline when it reads its headers, so what remains says how long the call was not seen yet.
    """
    for line in log.splitlines():
        record = json.loads(line) if line.startswith("{") else {}
        if record.get("status") == "RESOURCE_EXHAUSTED" and record.get("remaining_s", 600) < _DEADLINE_S + 0.01:
            yield 1000 * (max(0.0, _DEADLINE_S - record["remaining_s"]) + record["seconds"])


def silent_link(command: str) -> list[Figure]:
    """After how long a client notices that its link has fallen silent, and whether its retry gets the same bytes."""
    product = large_product()
    options: dict[str, Any] = {"seed": 5, "steps": 20, "prompt": "a beach", "output_size": (256, 256)}
    with running_cluster() as (endpoint, _, _):
        return asyncio.run(_silent_link(endpoint, backdrop.Background(product), options, command))


async def _silent_link(endpoint: str, task: backdrop.Background, options: dict[str, Any], command: str) -> list[Figure]:
    async with Proxy(int(endpoint.rpartition(":")[2])) as proxy, backdrop.AsyncClient(proxy.endpoint) as client:
        retried, noticed_s = await through_silence(proxy, client.generate(task, **options))
        async with backdrop.AsyncClient(endpoint) as direct:
            reference = await direct.generate(task, **options)
    length = max(len(retried.best.data), len(reference.best.data))
    same = sum(one == other for one, other in zip(retried.best.data, reference.best.data, strict=False))
    said = f"{proxy.connections} connections"
    return [
        Figure("a silent link: seconds until the client knows", round(noticed_s, 1), at_most(30), command, said),
        Figure("a silent link: bytes of the retried picture that differ", length - same, at_most(0), command, said),
    ]

"""Triton's own counters of what its models did: executions, rows and time, between two moments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from tritonclient.grpc.aio import InferenceServerClient


@dataclass(frozen=True)
class Work:
    """Counters of one model since its server started; the difference of two is what happened in between.

    `busy_s` is the time inside executions, each counted once however many requests it served. `queue_s` and `requests`
    are sums over requests.
    """

    busy_s: float = 0.0
    executions: int = 0
    rows: int = 0
    requests: int = 0
    queue_s: float = 0.0

    def __sub__(self, other: Work) -> Work:
        return Work(
            self.busy_s - other.busy_s,
            self.executions - other.executions,
            self.rows - other.rows,
            self.requests - other.requests,
            self.queue_s - other.queue_s,
        )

    def __add__(self, other: Work) -> Work:
        return self - (Work() - other)


class TritonStatistics:
    """The counters of some Tritons together, read through Triton's statistics interface; a context manager."""

    def __init__(self, endpoints: tuple[str, ...]) -> None:
        self._clients = [InferenceServerClient(endpoint) for endpoint in endpoints]

    async def work(self, model: str) -> Work:
        """What the replicas have done for a model so far, together."""
        total = Work()
        for client in self._clients:
            answer = await client.get_inference_statistics(model)
            for stats in answer.model_stats:
                busy_ns = sum(batch.compute_infer.ns for batch in stats.batch_stats)
                queue_s = stats.inference_stats.queue.ns / 1e9
                requests = stats.inference_stats.success.count
                total += Work(busy_ns / 1e9, stats.execution_count, stats.inference_count, requests, queue_s)
        return total

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self._clients:
            await client.close()

"""The arms: what makes pictures, behind one call. Models run in processes of their own, never in this one."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Protocol

import backdrop
from backdrop import AsyncClient, StageStarted, StepProgress
from bench.figures import ROOT
from bench.performance.workload import Order
from local.cluster import Cluster, Options


@dataclasses.dataclass(frozen=True)
class Made:
    """What became of an order."""

    seconds: float
    """From asking to having the picture."""
    first_preview_s: float = 0.0
    """From asking to the first preview; 0 where none was asked for."""
    digest: str = ""
    """Of the best picture's bytes."""
    score: float = 0.0
    """The reward model's, of the pictures that came back: their mean."""
    row_steps: int = 0
    encode_s: float = 0.0
    steps_at: tuple[float, ...] = ()
    """When each step was done, and before them when denoising began: time.perf_counter of this process."""


class Arm(Protocol):
    """Something that makes pictures."""

    name: str

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def make(self, order: Order) -> Made: ...


class Served:
    """`backdrop`: the cluster of this checkout, through the SDK."""

    def __init__(self, name: str = "backdrop", repository: Path | None = None, **settings: str) -> None:
        """`settings` are the orchestrator's, as in its environment but without the prefix, in small letters."""
        self.name = name
        self._repository, self._settings = repository or Options.repository, settings
        self._logs = tempfile.TemporaryDirectory()
        self.cluster: Cluster | None = None
        self._client: AsyncClient | None = None

    async def start(self) -> None:
        """Starts the cluster."""
        environment = {f"BACKDROP_{name.upper()}": value for name, value in self._settings.items()}
        options = Options(self._repository, Path(self._logs.name), port=0)
        self.cluster = Cluster(options)
        before = {name: os.environ.get(name) for name in environment}
        os.environ.update(environment)
        try:
            await asyncio.to_thread(self.cluster.start)
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})
        self._client = AsyncClient(self.cluster.endpoints.orchestrator, timeout_s=600)

    async def stop(self) -> None:
        """Stops it."""
        if self._client is not None:
            await self._client.close()
        if self.cluster is not None:
            await asyncio.to_thread(self.cluster.stop)
        self._logs.cleanup()

    async def make(self, order: Order) -> Made:
        """Makes a picture."""
        assert self._client is not None
        photo, began = order.photo(), time.perf_counter()
        generation = self._client.generate(
            photo,
            prompt=order.prompt,
            seed=order.seed,
            steps=order.steps,
            guidance_scale=order.guidance_scale,
            pipeline=order.pipeline,
            priority=order.priority,
            preview_every=order.preview_every,
            guidance_window=order.guidance_window,
            variants=order.variants,
            top_k=order.top_k,
            early_dropping=order.early_dropping,
        )
        first_preview, moments = 0.0, list[float]()
        async for event in generation:
            now = time.perf_counter()
            if isinstance(event, StageStarted) and event.stage is backdrop.Stage.DENOISE:
                moments.append(now)
            if isinstance(event, StepProgress):
                moments.append(now)
                if event.preview and not first_preview:
                    first_preview = now - began
        result = await generation
        return Made(
            time.perf_counter() - began,
            first_preview,
            hashlib.sha256(result.best.data).hexdigest(),
            statistics.mean(picture.scores.total for picture in result.pictures),
            result.usage.row_steps,
            sum(timing.duration_s for timing in result.timings if timing.stage is backdrop.Stage.ENCODE),
            tuple(moments),
        )


class Processes:
    """`inprocess`, `inprocess×2`, `diffusers`: workers that make one picture after another."""

    def __init__(self, name: str, kind: str, workers: int = 1, threads: int = 2) -> None:
        """`kind` is what `bench.performance.worker` knows; each worker computes with so many threads."""
        self.name = name
        self._kind, self._count, self._threads = kind, workers, threads
        self._free: asyncio.Queue[asyncio.subprocess.Process] = asyncio.Queue()
        self._all: list[asyncio.subprocess.Process] = []

    async def start(self) -> None:
        """Starts the workers, and waits until they have loaded."""
        threads = str(self._threads)
        for _ in range(self._count):
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "bench.performance.worker", self._kind, "--threads", threads),
                cwd=ROOT,
                env={**os.environ, "OMP_NUM_THREADS": threads, "PYTHONPATH": str(ROOT)},
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
            self._all.append(process)
        for process in self._all:
            assert process.stdout is not None
            await process.stdout.readline()  # "ready"
            self._free.put_nowait(process)

    async def stop(self) -> None:
        """Ends the workers."""
        for process in self._all:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()

    async def make(self, order: Order) -> Made:
        """Makes a picture, when a worker is free."""
        began = time.perf_counter()
        process = await self._free.get()
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write((json.dumps(plain(order)) + "\n").encode())
            answer: dict[str, Any] = json.loads(await process.stdout.readline())
        finally:
            self._free.put_nowait(process)
        return Made(time.perf_counter() - began, digest=answer["digest"])


def plain(order: Order) -> dict[str, Any]:
    """An order as JSON-ready values.

    Raises:
        ValueError: it asks for what only a server does.
    """
    if order.early_dropping is not None or order.guidance_window is not None:
        raise ValueError("workers without a server make whole pictures")
    return dataclasses.asdict(order)


def all_arms() -> list[Arm]:
    """The arms of the closed-loop figures."""
    return [
        Processes("diffusers", "diffusers"),
        Processes("inprocess", "inprocess"),
        Processes("inprocess×2", "inprocess", workers=2, threads=1),
        Served(),
    ]

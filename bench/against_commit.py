"""Throughput, lonely latency and taxes of this checkout against another one, measured in alternation.

Each side's cluster is started by its own `python -m local` and driven by its own SDK (`sdk_driver.py`), so the two may
differ in contract and call. Both clusters are up at once and take turns of some seconds, because a shared machine's
speed changes within minutes. Rounds, of one turn each, are kept in bench/results/against-commit.json.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.emulated import repository
from bench.emulated.costs import COSTS, Cost
from bench.figures import ROOT, Figure, at_most, reported
from bench.load import spread
from bench.processes import cpu_s, own_s
from bench.requests import BenchRequest, RequestSource, requests
from bench.rounds import Rounds
from bench.triton_statistics import TritonStatistics, Work

NAME = "against-commit"
MOST_LOSS = 3.0
"""Percent."""
REAL = "CPU"
THROUGHPUT, LONELY = "throughput", "lonely latency"
_START_TIMEOUT_S = 180
_ROWS_AT_SATURATION = 200
"""After so many denoiser rows the first requests are all in their steps."""
console = Console(stderr=True, highlight=False)


@dataclass(frozen=True)
class Settings:
    """The other checkout's commit, and the load of a turn.

    Attributes:
        before: short.
        clients, requests, steps: of the closed loop.
        window_s: of saturation by so many clients.
        turns: of each cluster start, by quantity: throughput, lonely latency, each engine's busy share.
    """

    before: str
    clients: int = 16
    requests: int = 16
    steps: int = 20
    window_s: float = 8.0
    turns: tuple[int, int, int] = (8, 16, 2)


@dataclass(frozen=True)
class Round:
    """A quantity of both sides, in one turn each: pictures/s, seconds, or the share of time an engine computes."""

    quantity: str
    before: float
    after: float


class Side:
    """A running cluster of one checkout, and its SDK in a process of its own."""

    def __init__(self, checkout: Path, state: dict[str, Any], driver: subprocess.Popen[str]) -> None:
        self.checkout = checkout
        self.triton = state["services"]["triton-0"]["endpoint"]
        self._triton_pid = int(state["services"]["triton-0"]["pid"])
        self._driver = driver

    def send(self, command: dict[str, Any]) -> dict[str, Any]:
        """Has the driver do something and returns its answer."""
        assert self._driver.stdin is not None
        assert self._driver.stdout is not None
        self._driver.stdin.write(json.dumps(command) + "\n")
        self._driver.stdin.flush()
        answer: dict[str, Any] = json.loads(self._driver.stdout.readline())
        return answer

    def closed(self, batch: Sequence[BenchRequest], clients: int) -> tuple[list[float], float]:
        """Latencies and wall seconds of a closed loop."""
        answer = self.send({"do": "closed", "clients": clients, "requests": [*map(_as_json, batch)]})
        return answer["latencies_s"], answer["wall_s"]

    def lonely_s(self, source: RequestSource, steps: int) -> float:
        """Seconds of one request that has the cluster to itself."""
        return self.closed(source.take(1, steps=steps), 1)[0][0]

    def busy(self, batch: Sequence[BenchRequest], window_s: float, cost: Cost | None) -> float:
        """The share of a window at saturation in which the engine computes; `cost` is an emulated engine's."""
        self.send({"do": "start", "requests": [*map(_as_json, batch)]})
        try:
            return asyncio.run(self._window(window_s, cost))
        finally:
            self.send({"do": "stop"})

    async def _window(self, window_s: float, cost: Cost | None) -> float:
        loop = asyncio.get_running_loop()
        async with TritonStatistics((self.triton,)) as triton:
            start = await triton.work("denoiser")
            for _ in range(10 * _START_TIMEOUT_S):
                if (await triton.work("denoiser") - start).rows >= _ROWS_AT_SATURATION:
                    break
                await asyncio.sleep(0.1)
            begin, before, spent_s = loop.time(), await triton.work("denoiser"), self._engine_s()
            await asyncio.sleep(window_s)
            work: Work = await triton.work("denoiser") - before
            wall_s, spent_s = loop.time() - begin, self._engine_s() - spent_s
        return (cost.busy_s(work) if cost else spent_s / len(os.sched_getaffinity(0))) / wall_s

    def _engine_s(self) -> float:
        return cpu_s(self._triton_pid) - own_s(self._triton_pid)


@contextlib.contextmanager
def cluster(checkout: Path, models: Path) -> Iterator[Side]:
    """A checkout's cluster over a model repository, until the block ends.

    Raises:
        RuntimeError: it did not start.
    """
    environment = {
        **os.environ, "PYTHONPATH": str(checkout), "BACKDROP_MAX_RUNNING": "16", "BACKDROP_MAX_QUEUED": "1024",
    }  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="backdrop-against-") as folder:
        file, log = Path(folder) / "state.json", Path(folder) / "launcher.log"
        command = [sys.executable, "-P", "-m", "local", "--port", "0", "--state-file", str(file), "--log-dir", folder]
        command += ["--repository", str(models)]
        with log.open("w") as output:
            launcher = subprocess.Popen(command, cwd=checkout, env=environment, stdout=output, stderr=output)
        try:
            state = _state(file, launcher, log)
            driving = [sys.executable, "-P", str(ROOT / "bench" / "sdk_driver.py"), state["endpoints"]["orchestrator"]]
            pipe = subprocess.PIPE
            with subprocess.Popen(driving, cwd=checkout, env=environment, stdin=pipe, stdout=pipe, text=True) as driver:
                yield Side(checkout, state, driver)
                assert driver.stdin is not None
                driver.stdin.close()
        finally:
            launcher.send_signal(signal.SIGTERM)
            launcher.wait()


def _state(file: Path, launcher: subprocess.Popen[bytes], log: Path) -> dict[str, Any]:
    for _ in range(10 * _START_TIMEOUT_S):
        if file.exists():
            state: dict[str, Any] = json.loads(file.read_text())
            return state
        if launcher.poll() is not None:
            break
        time.sleep(0.1)
    raise RuntimeError(f"the cluster did not start: {log.read_text()[-1000:]}")


def _as_json(request: BenchRequest) -> dict[str, Any]:
    files = {"product": request.product_file, "mask": request.mask_file}
    encoded = {name: base64.b64encode(content).decode() for name, content in files.items()}
    return {**encoded, "options": request.options}


@dataclass(frozen=True)
class Sides:
    """Both clusters, running."""

    before: Side
    after: Side

    def turns(self, quantity: str, count: int, one: Callable[[Side], float]) -> Iterator[Round]:
        """Measures both so many times; the one that goes first changes."""
        for number in range(count):
            order = [self.before, self.after] if number % 2 == 0 else [self.after, self.before]
            values = {side: one(side) for side in order}
            yield Round(quantity, values[self.before], values[self.after])


@contextlib.contextmanager
def both(before: Path, cost: Cost | None = None) -> Iterator[Sides]:
    """The clusters of both checkouts over their own repositories; `cost` emulates the denoiser's engine."""
    with contextlib.ExitStack() as stack:

        def start(checkout: Path) -> Side:
            models = checkout / "triton_repo"
            if cost is not None:
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="backdrop-emulated-"))
                models = repository.write(models, Path(folder), cost)
            return stack.enter_context(cluster(checkout, models))

        yield Sides(start(before), start(ROOT))


def measure_once(before: Path, source: RequestSource, settings: Settings) -> Iterator[Round]:
    """The turns of one start of each pair of clusters: the real engine's first, then the emulated ones'."""
    throughput, lonely, busy = settings.turns

    def pictures_s(side: Side) -> float:
        latencies, wall_s = side.closed(source.take(settings.requests, steps=settings.steps), settings.clients)
        return len(latencies) / wall_s

    def busy_share(cost: Cost | None) -> Callable[[Side], float]:
        return lambda side: side.busy(source.take(settings.clients, steps=100), settings.window_s, cost)

    with both(before) as sides:
        for side in (sides.before, sides.after):
            side.closed(source.take(settings.clients, steps=2), settings.clients)
        yield from sides.turns(THROUGHPUT, throughput, pictures_s)
        yield from sides.turns(LONELY, lonely, lambda side: side.lonely_s(source, settings.steps))
        yield from sides.turns(busy_of(REAL), busy, busy_share(None))
    for kind, cost in COSTS.items():
        with both(before, cost) as sides:
            yield from sides.turns(busy_of(kind), busy, busy_share(cost))


def busy_of(engine: str) -> str:
    """The quantity's name."""
    return f"engine-busy ÷ wall (1 − tax), {engine}"


def measure(before: Path, commit: str, count: int) -> list[Figure]:
    """Starts the clusters so many times more, and returns the figures of all rounds.

    Args:
        before: the other checkout.
        commit: its own, short.
        count: starts to add.
    """
    settings = Settings(commit)
    rounds = Rounds(NAME, settings, Round)
    for start in range(count):
        for one in measure_once(before, requests(NAME, len(rounds.done)), settings):
            rounds.add(one)
            console.print(f"start {start + 1} of {count}: {one}")
    return figures(rounds.done, settings)


def losses(rounds: Sequence[Round]) -> dict[str, list[float]]:
    """By quantity, the loss in each round, in percent; negative where this checkout is better."""
    result: dict[str, list[float]] = {}
    for one in rounds:
        ratio = one.after / one.before
        loss = ratio - 1 if one.quantity == LONELY else 1 - ratio
        result.setdefault(one.quantity, []).append(100 * loss)
    return result


def figures(rounds: Sequence[Round], settings: Settings) -> list[Figure]:
    """The worst median loss, and each."""
    medians = {name: statistics.median(values) for name, values in losses(rounds).items()}
    worst = max(medians, key=medians.__getitem__)
    command = "python -m bench.architecture against-commit"
    note = f"{worst}; {len(losses(rounds)[worst])} turns each against {settings.before}"
    name = "largest loss against the commit before: throughput, lonely latency, taxes, %"
    result = [Figure(name, round(medians[worst], 2), at_most(MOST_LOSS), command, note)]
    for quantity, values in losses(rounds).items():
        title = f"loss against the commit before: {quantity}, %"
        result.append(Figure(title, round(medians[quantity], 2), reported("lower"), command, str(spread(values))))
    return result

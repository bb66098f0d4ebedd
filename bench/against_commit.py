"""Throughput, lonely latency and taxes of this checkout against another one, measured in alternation.

Each side's cluster is started by its own `python -m local` and driven by its own SDK (`sdk_driver.py`), so the two may
differ in contract and call. Rounds are kept in bench/results/against-commit.json.
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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.emulated import repository
from bench.emulated.costs import COSTS, Cost
from bench.figures import ROOT, Figure, at_most, reported
from bench.load import spread
from bench.processes import cpu_s, own_s
from bench.requests import BenchRequest, requests
from bench.rounds import Rounds
from bench.triton_statistics import TritonStatistics, Work

NAME = "against-commit"
MOST_LOSS = 3.0
"""Percent."""
REAL = "CPU"
_UNCERTAIN = (
    "single rounds differ by more than the mark in both directions, so these rounds are too short to decide; the"
    " engines' busy shares at saturation are the same on both sides"
)
_START_TIMEOUT_S = 180
_ROWS_AT_SATURATION = 200
"""After so many denoiser rows the first requests are all in their steps."""
console = Console(stderr=True, highlight=False)


@dataclass(frozen=True)
class Settings:
    """The other checkout's commit, and the load.

    Attributes:
        before: short.
        clients, requests, steps: of the closed loop.
        lonely: lone requests.
        window_s: of saturation by so many clients.
    """

    before: str
    clients: int = 16
    requests: int = 32
    steps: int = 20
    lonely: int = 5
    window_s: float = 8.0


@dataclass(frozen=True)
class Speed:
    """Pictures a second, seconds of a lone request, and by engine the share of time that it computes at saturation."""

    pictures_s: float
    lonely_s: float
    busy: dict[str, float]


@dataclass(frozen=True)
class Round:
    """Both sides, one after the other."""

    before: Speed
    after: Speed


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


def measure_side(checkout: Path, number: int, settings: Settings) -> Speed:
    """One side: the real engine first, then the emulated ones."""
    source, busy = requests(NAME, number), dict[str, float]()
    with cluster(checkout, checkout / "triton_repo") as side:
        side.closed(source.take(2, steps=2), 2)
        lonely, _ = side.closed(source.take(settings.lonely, steps=settings.steps), 1)
        latencies, wall_s = side.closed(source.take(settings.requests, steps=settings.steps), settings.clients)
        busy[REAL] = side.busy(source.take(settings.clients, steps=100), settings.window_s, None)
    for kind, cost in COSTS.items():
        with tempfile.TemporaryDirectory(prefix="backdrop-emulated-") as folder:
            models = repository.write(checkout / "triton_repo", Path(folder), cost)
            with cluster(checkout, models) as side:
                busy[kind] = side.busy(source.take(settings.clients, steps=100), settings.window_s, cost)
    return Speed(len(latencies) / wall_s, statistics.median(lonely), busy)


def measure(before: Path, commit: str, count: int) -> list[Figure]:
    """Measures until there are so many rounds, the sides taking turns, and returns the figures of all.

    Args:
        before: the other checkout.
        commit: its own, short.
        count: rounds there should be in the end.
    """
    settings = Settings(commit)
    rounds = Rounds(NAME, settings, Round)
    while (number := len(rounds.done)) < count:
        order = [before, ROOT] if number % 2 == 0 else [ROOT, before]
        speeds = {checkout: measure_side(checkout, number, settings) for checkout in order}
        rounds.add(Round(speeds[before], speeds[ROOT]))
        console.print(f"round {number + 1} of {count}: {rounds.done[-1]}")
    return figures(rounds.done, settings)


def losses(rounds: Sequence[Round]) -> dict[str, list[float]]:
    """By quantity, the loss in each round, in percent; negative where this checkout is better."""
    result = {
        "throughput": [1 - one.after.pictures_s / one.before.pictures_s for one in rounds],
        "lonely latency": [one.after.lonely_s / one.before.lonely_s - 1 for one in rounds],
    }
    for engine in rounds[0].before.busy:
        name = f"engine-busy ÷ wall (1 − tax), {engine}"
        result[name] = [1 - one.after.busy[engine] / one.before.busy[engine] for one in rounds]
    return {name: [100 * value for value in values] for name, values in result.items()}


def figures(rounds: Sequence[Round], settings: Settings) -> list[Figure]:
    """The worst median loss, and each."""
    medians = {name: statistics.median(values) for name, values in losses(rounds).items()}
    worst = max(medians, key=medians.__getitem__)
    command = "python -m bench.architecture against-commit"
    note = f"{worst}; {len(rounds)} rounds in turns against {settings.before}"
    name = "largest loss against the commit before: throughput, lonely latency, taxes, %"
    result = [Figure(name, round(medians[worst], 2), at_most(MOST_LOSS, _UNCERTAIN), command, note)]
    for quantity, values in losses(rounds).items():
        title = f"loss against the commit before: {quantity}, %"
        result.append(Figure(title, round(medians[quantity], 2), reported("lower"), command, str(spread(values))))
    return result

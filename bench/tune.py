"""Sweeps how Triton serves each model on this machine, reports it, and proposes configs.

usage: python -m bench.tune [MODEL …] [--seconds S]

For each config: the milliseconds of one caller's step (`lone_ms`), and the rows a second of eight callers (`rows_s`).
`rows_per_call` says how the two rows of a guided step are sent: in one call, or in two at once, which two instances can
run side by side. Results go to bench/results/tune.json after each config; a later run continues from there.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import hashlib
import itertools
import json
import re
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from tritonclient.grpc.aio import InferenceServerClient

from bench.arms.served import REPOSITORY
from bench.model_rows import Arrays, infer, random_rows
from bench.rounds import Rounds, load
from local import triton
from local.ports import free_ports
from local.supervisor import Supervisor

PATIENCE = 1.1
"""A lone step may take so many times the shortest one; of such configs the one with the most rows a second wins."""
console = Console(stderr=True, highlight=False)


@dataclass(frozen=True)
class Config:
    """How Triton serves a model.

    Attributes:
        instances: copies that run side by side.
        threads: of each copy, for a row that is alone.
        row_workers: into how many parts a copy cuts a batch, to run them side by side; our own backend's alone.
        max_batch: most rows in an execution.
        delay_us: how long rows wait for others to share their batch, in microseconds.
    """

    instances: int = 1
    threads: int = 2
    row_workers: int = 1
    max_batch: int = 8
    delay_us: int = 0

    def __str__(self) -> str:
        copies = f"{self.instances} × {self.threads} threads × {self.row_workers} row workers"
        return f"{copies}, cap {self.max_batch}, delay {self.delay_us} µs"


@dataclass(frozen=True)
class Step:
    """How a step is sent, and what it took: milliseconds of a lone one, rows a second of several callers."""

    rows_per_call: int
    lone_ms: float
    rows_s: float


@dataclass(frozen=True)
class Trial:
    """One config of a model, measured."""

    model: str
    config: Config
    step: Step

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Instances, threads, row workers, rows per call: what matters most of a result."""
        config = self.config
        return config.instances, config.threads, config.row_workers, self.step.rows_per_call


@dataclass(frozen=True)
class Settings:
    """How long each load runs, and its callers."""

    seconds: float = 3.0
    callers: int = 8


def configured(text: str, config: Config) -> str:
    """A config.pbtxt with these values instead of its own.

    Raises:
        ValueError: a value has no place in it.
    """
    for pattern, value in (
        (r"(max_batch_size: )\d+()", config.max_batch),
        (r"(max_queue_delay_microseconds: )\d+()", config.delay_us),
        (r"(instance_group \[ \{ kind: KIND_CPU count: )\d+( \} \])", config.instances),
    ):
        text, count = re.subn(pattern, rf"\g<1>{value}\g<2>", text)
        if count != 1:
            raise ValueError(f"the config has no place for {pattern}")
    text = re.sub(r'parameters \{ key: "(intra_op_threads|row_workers)".*\n', "", text)
    parameters = {"intra_op_threads": config.threads, "row_workers": config.row_workers}
    return text + "".join(
        f'parameters {{ key: "{key}" value: {{ string_value: "{value}" }} }}\n' for key, value in parameters.items()
    )


def read(text: str) -> Config:
    """The values of a config.pbtxt; a parameter that it lacks is 1, the backend's default."""

    def number(pattern: str, default: int) -> int:
        match = re.search(pattern, text)
        return int(match[1]) if match else default

    return Config(
        instances=number(r"kind: KIND_CPU count: (\d+)", 1),
        threads=number(r'"intra_op_threads" value: \{ string_value: "(\d+)"', 1),
        row_workers=number(r'"row_workers" value: \{ string_value: "(\d+)"', 1),
        max_batch=number(r"max_batch_size: (\d+)", 1),
        delay_us=number(r"max_queue_delay_microseconds: (\d+)", 0),
    )


def write_repository(real: Path, folder: Path, configs: Mapping[str, Config], only: bool = False) -> Path:
    """Copies a repository with some models configured anew, and returns the copy.

    Args:
        real: the repository that is copied.
        folder: where to; must not exist.
        configs: by model.
        only: leave out the models that are not in `configs`; then it is for Triton alone, not for an orchestrator.
    """
    document = json.loads((real / "pipeline.json").read_text())
    for name, entry in document["models"].items():
        if only and name not in configs:
            continue
        shutil.copytree(real / name, folder / name)
        if name in configs:
            file = folder / name / "config.pbtxt"
            file.write_text(configured(file.read_text(), configs[name]))
            entry["files"]["config.pbtxt"] = f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"
    (folder / "pipeline.json").write_text(json.dumps(document))
    return folder


def candidates(model: str) -> list[Config]:
    """The configs to try: all combinations for denoisers, instances and threads for what runs once a picture."""
    shapes = [(1, 1, 1), (1, 2, 1), (2, 1, 1), (2, 2, 1), (1, 2, 2), (2, 2, 2)]
    if not model.startswith("denoiser"):
        return [Config(*shape) for shape in shapes]
    return [Config(*shape, cap, delay) for shape, cap, delay in itertools.product(shapes, (2, 4, 8), (0, 2000))]


@dataclass(frozen=True)
class StepLoad:
    """Callers that send a model's step again and again; `calls` are those of one step, sent at once."""

    client: InferenceServerClient
    model: str
    calls: Sequence[Arrays]
    output: str

    async def step(self) -> None:
        """Sends one step and waits for its answers."""
        await asyncio.gather(*(infer(self.client, self.model, call, self.output) for call in self.calls))

    async def lone_ms(self, seconds: float) -> float:
        """The median milliseconds of a step of one caller."""
        taken: list[float] = []
        end = time.perf_counter() + seconds
        while (begin := time.perf_counter()) < end or len(taken) < 3:
            await self.step()
            taken.append(time.perf_counter() - begin)
        return 1000 * statistics.median(taken)

    async def rows_s(self, callers: int, seconds: float) -> float:
        """Rows a second of several callers."""
        steps, end = 0, time.perf_counter() + seconds

        async def caller() -> None:
            nonlocal steps
            while time.perf_counter() < end:
                await self.step()
                steps += 1

        begin = time.perf_counter()
        await asyncio.gather(*(caller() for _ in range(callers)))
        rows = sum(len(next(iter(call.values()))) for call in self.calls)
        return steps * rows / (time.perf_counter() - begin)


async def measure(model: str, config: Config, entry: Mapping[str, Any], settings: Settings) -> list[Trial]:
    """Serves one model with one config and measures each way to send a step."""
    with tempfile.TemporaryDirectory(prefix="backdrop-tune-") as folder:
        repository = write_repository(REPOSITORY, Path(folder) / "repository", {model: config}, only=True)
        port, metrics_port = free_ports(2)
        supervisor = Supervisor()
        try:
            service = triton.service("triton-tune", repository, port, metrics_port, Path(folder) / "logs")
            supervisor.start(service)
            client = InferenceServerClient(service.endpoint)
            rows_per_call = (1, 2) if model.startswith("denoiser") else (1,)
            steps = [await _step(client, model, entry, rows, settings) for rows in rows_per_call]
            await client.close()
        finally:
            supervisor.stop()
    return [Trial(model, config, step) for step in steps]


async def _step(
    client: InferenceServerClient, model: str, entry: Mapping[str, Any], rows: int, settings: Settings
) -> Step:
    step_rows = 2 if model.startswith("denoiser") else 1
    calls = [random_rows(entry, rows, seed) for seed in range(step_rows // rows)]
    steps_of_model = StepLoad(client, model, calls, entry["outputs"][0]["name"])
    await steps_of_model.rows_s(settings.callers, settings.seconds / 4)
    lone_ms = await steps_of_model.lone_ms(settings.seconds)
    rows_s = await steps_of_model.rows_s(settings.callers, settings.seconds)
    return Step(rows, round(lone_ms, 2), round(rows_s, 2))


def proposal(trials: Sequence[Trial]) -> Trial:
    """Of the configs whose lone step is nearly the shortest, the one with the most rows a second."""
    shortest = min(trial.step.lone_ms for trial in trials)
    patient = [trial for trial in trials if trial.step.lone_ms <= PATIENCE * shortest]
    return max(patient, key=lambda trial: trial.step.rows_s)


def trials_by_model() -> dict[str, list[Trial]]:
    """All trials so far."""
    trials: dict[str, list[Trial]] = {}
    for trial in load("tune", Trial):
        trials.setdefault(trial.model, []).append(trial)
    return trials


def main() -> int:
    """Sweeps the named models, or all of the default pipeline."""
    document = json.loads((REPOSITORY / "pipeline.json").read_text())
    components = list(document["pipelines"][document["default"]]["components"].values())
    parser = argparse.ArgumentParser(prog="python -m bench.tune", description=__doc__)
    parser.add_argument("models", nargs="*", help=", ".join(document["models"]))
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each load runs (default: %(default)s)")
    arguments = parser.parse_args()
    settings = Settings(arguments.seconds)
    rounds = Rounds("tune", settings, Trial)
    done = {(trial.model, trial.config) for trial in rounds.done}
    for model in arguments.models or components:
        for config in candidates(model):
            if (model, config) in done:
                continue
            for trial in asyncio.run(measure(model, config, document["models"][model], settings)):
                rounds.add(trial)
                step = trial.step
                console.print(f"{model}: {config}, {step.rows_per_call} rows per call: "
                              f"{step.lone_ms:.1f} ms alone, {step.rows_s:.1f} rows/s")  # fmt: skip
        best = proposal([trial for trial in rounds.done if trial.model == model])
        console.print(f"[bold]{model}: {dataclasses.asdict(best)}[/bold]")
    return 0


if __name__ == "__main__":
    sys.exit(main())

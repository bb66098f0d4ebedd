"""The training loop of every stage: learning rate, weight averages, checkpoints, progress in the log."""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from diffusers.models.attention_processor import Attention, AttnProcessor

from training.config import Config, Paths
from training.presets import PRESETS

log = logging.getLogger(__name__)

Network = TypeVar("Network", bound=torch.nn.Module)


class Stateful(Protocol):
    """A network, an optimiser or anything else whose state can be saved and restored."""

    def state_dict(self) -> Any: ...

    def load_state_dict(self, state_dict: Any, /) -> Any: ...


def start_logging() -> None:
    """Logs one line per event, with the time of day."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("httpx").setLevel(logging.WARNING)


def device() -> torch.device:
    """The GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def layout() -> torch.memory_format:
    """How denoisers keep their planes: channels last on a GPU; on a CPU, normalisation in bfloat16 is slow there."""
    return torch.channels_last if device().type == "cuda" else torch.contiguous_format


def half_precision(enabled: bool = True) -> torch.autocast:
    """Autocast to bfloat16; CPUs with AVX512-BF16 or AMX run it about twice as fast as fp32."""
    return torch.autocast(device().type, dtype=torch.bfloat16, enabled=enabled)


def plain_attention(network: torch.nn.Module) -> None:
    """Computes attention as plain matrix products: the fused kernel's backward pass is slow on CPUs."""
    for module in network.modules():
        if isinstance(module, Attention):
            module.set_processor(AttnProcessor())


class Average:
    """An exponential moving average of a network's weights; the average is what gets served."""

    def __init__(self, network: torch.nn.Module, decay: float) -> None:
        self.decay, self.updates = decay, 0
        self.weights = {name: value.detach().clone() for name, value in network.state_dict().items()}

    def update(self, network: torch.nn.Module) -> None:
        """Moves the average towards the network; early updates weigh more, so that the random start fades fast."""
        self.updates += 1
        keep = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for name, value in network.state_dict().items():
            if value.dtype.is_floating_point:
                self.weights[name].lerp_(value.detach(), 1 - keep)

    def state_dict(self) -> dict[str, Any]:
        """The average and its number of updates."""
        return {"weights": self.weights, "updates": self.updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores a saved average."""
        self.weights, self.updates = state["weights"], state["updates"]


class Run:
    """A stage's run: its folder, its checkpoint and its step counter."""

    def __init__(self, config: Config, name: str, **parts: Stateful) -> None:
        self.name, self.config, self.parts = name, config, parts
        self.folder = config.paths.work / name
        self.folder.mkdir(parents=True, exist_ok=True)
        self.step = 0
        self.spent = 0.0
        """Seconds of training so far, those before an interruption included."""
        (self.folder / "config.json").write_text(json.dumps(asdict(config), default=str, indent=2))

    @property
    def path(self) -> Path:
        """Path of the checkpoint."""
        return self.folder / "checkpoint.pt"

    def resume(self) -> int:
        """Restores the last checkpoint, if there is one; returns the step to continue from.

        Checkpoints written by `training.publish.adopt` have no optimiser state; the optimiser then starts fresh.
        """
        if self.path.exists():
            state = torch.load(self.path, weights_only=True, map_location=device())
            for name, part in self.parts.items():
                if name in state:
                    part.load_state_dict(state[name])
            self.step, self.spent = int(state["step"]), float(state.get("spent", 0.0))
            log.info("%s: resuming at step %d", self.name, self.step)
        return self.step

    def save(self) -> None:
        """Writes to a temporary file and renames it, so that a stop at any time leaves a complete checkpoint."""
        state: dict[str, Any] = {name: part.state_dict() for name, part in self.parts.items()}
        torch.save({**state, "step": self.step, "spent": self.spent}, self.path.with_suffix(".tmp"))
        self.path.with_suffix(".tmp").rename(self.path)

    def progress(self, steps: int) -> float:
        """How much of the stage is done, 0..1, by its steps or by its limit of time, whichever is closer to its end."""
        by_time = self.spent / self.config.seconds if self.config.seconds else 0.0
        return min(max(self.step / max(steps, 1), by_time), 1.0)

    def learning_rate(self, steps: int, peak: float, warmup: int = 100) -> float:
        """Linear warm-up, then cosine decay to 3 % of the peak at the stage's end."""
        if self.step < warmup:
            return peak * (self.step + 1) / warmup
        return peak * (0.03 + 0.97 * 0.5 * (1 + float(np.cos(np.pi * self.progress(steps)))))

    def loop(self, steps: int, body: Callable[[int], dict[str, float]], every: int = 50, writes: bool = True) -> None:
        """Calls `body(step)` until `steps` or the stage's limit of time; logs mean losses and saves once a minute.

        Only the worker that `writes` logs and saves.
        """
        saved = since = now = time.monotonic()
        sums: dict[str, float] = {}
        done = 0
        while self.step < steps and self.progress(steps) < 1:
            for name, value in body(self.step).items():
                sums[name] = sums.get(name, 0.0) + value
            self.step += 1
            done += 1
            now, before = time.monotonic(), now
            self.spent += now - before
            if writes and (self.step % every == 0 or self.step == steps):
                text = " ".join(f"{name} {value / done:.4f}" for name, value in sums.items())
                log.info("%s %d/%d %s (%.2f steps/s)", self.name, self.step, steps, text, done / (now - since))
                sums, done, since = {}, 0, now
            if writes and now - saved > 60:
                self.save()
                saved = now
        if writes:
            self.save()


def generator(config: Config, stage: str, step: int) -> np.random.Generator:
    """Random numbers of one step, the same whether or not the run was interrupted before it."""
    return np.random.default_rng((config.seed, sum(map(ord, stage)), step))


def load_average(config: Config, stage: str, network: Network) -> Network:
    """`network` with the averaged weights of a stage's last checkpoint, frozen, in evaluation mode."""
    state = torch.load(config.paths.work / stage / "checkpoint.pt", weights_only=True, map_location="cpu")
    network.load_state_dict(state["average"]["weights"])
    network.eval().requires_grad_(False)
    log.info("%s at step %d", stage, state["step"])
    return network


def stage_parser(description: str | None) -> argparse.ArgumentParser:
    """The options that all stages have."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--preset", default="published", choices=PRESETS, help="settings (default: %(default)s)")
    parser.add_argument("--work", type=Path, help="folder of checkpoints and caches (default: training/work)")
    parser.add_argument("--threads", type=int, default=2, help="threads of one torch operation (default: %(default)s)")
    return parser


def chosen_config(arguments: argparse.Namespace) -> Config:
    """The config of the options; starts logging and sets torch's threads.

    With `--work`, weights are written to its folder `weights`, so that a training leaves the checkout as it is.
    """
    start_logging()
    torch.set_num_threads(arguments.threads)
    if torch.cuda.is_available():
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = True
    config = PRESETS[arguments.preset]
    if arguments.work is None:
        return config
    weights = arguments.work / "weights"
    return replace(
        config,
        paths=Paths(
            work=arguments.work,
            weights=weights,
            classifier=weights / "classifier",
            product_judge=weights / "product_judge",
        ),
    )


def run_stage(description: str | None, train: Callable[[Config], object]) -> None:
    """The command line of a stage's module: reads the options, then trains."""
    train(chosen_config(stage_parser(description).parse_args()))

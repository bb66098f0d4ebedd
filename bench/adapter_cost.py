"""A denoiser with an adapter bank: its rows against fused weights, and what the bank and more slots cost a row."""

from __future__ import annotations

import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from bench.figures import ROOT, Figure, at_most
from export import adapters, build
from export.adapters import Bank, LoraRef
from export.contract import Size
from export.models import COMPONENTS
from export.models.component import Inputs
from export.plan import Model, plan_repository
from export.running import relative, session
from export.source import open_folder
from export.spec import ExportSpec
from tests.export import loras

ADAPTERS, RANK, ROUNDS = 4, 8, 15
SLOTS = 3
SIZE = Size(256, 256, 77)
Progress = Callable[[str, str], None]
console = Console(stderr=True, highlight=False)


@dataclasses.dataclass(frozen=True)
class Run:
    """A graph, and what it is fed."""

    session: Any
    feed: Mapping[str, Any]

    def __call__(self) -> Any:
        """Its prediction for every row."""
        (outputs,) = self.session.run(None, self.feed)
        return outputs


@dataclasses.dataclass(frozen=True)
class Cost:
    """How one graph's rows compare with fused weights, and its cost with another graph's.

    Attributes:
        difference: the largest relative difference of a row from torch with the row's adapters in its weights.
        percent: more processor time a row than the other graph.
        spread: how it was measured.
    """

    difference: float
    percent: float
    spread: str


def figures() -> list[Figure]:
    """Rows of the reference UNet with three adapters each, against fused weights, and against rows with one."""
    command = "python -m bench.checkpoint adapters"
    folder = ROOT / "training" / "weights" / "backdrop"
    cost = measure_slots(folder, lambda name, what: console.print(f"{name}: {what}"))
    return [
        Figure(
            "three adapters in a row against fused weights, relative",
            value=cost.difference,
            mark=at_most(1e-4),
            command=command,
            spread="4 rows of the reference UNet, all linear layers, rank 8, onnxruntime against torch",
        ),
        Figure("cost of three slots over one, % of a row", cost.percent, at_most(10), command, cost.spread),
    ]


def random_bank(shapes: Mapping[str, tuple[int, ...]], slots: int) -> Bank:
    """Four adapters of every linear layer, which is what most LoRA files change."""
    linear = {name: shape for name, shape in shapes.items() if len(shape) == 2}
    every = (loras.random_lora(linear, RANK, seed) for seed in range(ADAPTERS))
    refs = tuple((LoraRef(f"lora{n}", Path("none")), lora) for n, lora in enumerate(every))
    return Bank(linear, ADAPTERS, RANK, refs, slots)


def measure(folder: Path, progress: Progress) -> Cost:
    """A pipeline's denoiser with one adapter in each row, against the same denoiser without a bank."""
    return _compare(folder, None, 1, progress)


def measure_slots(folder: Path, progress: Progress) -> Cost:
    """A pipeline's denoiser with three adapters in each row, against the same denoiser with one in each row."""
    return _compare(folder, 1, SLOTS, progress)


def _compare(folder: Path, base: int | None, slots: int, progress: Progress) -> Cost:
    """Compares a graph of so many slots with fused weights, and its time with a graph of `base` slots; None = no bank.

    Every slot of every row names an adapter.
    """
    model = plan_repository([open_folder(folder)]).models["denoiser"]
    component = COMPONENTS[model.source.kind.name]
    prepared = component.prepare(component.load(model.source))
    inputs = prepared.sample(ADAPTERS, SIZE, torch.Generator().manual_seed(1))
    feed = {spec.name: value.numpy() for spec, value in zip(prepared.inputs, inputs, strict=True)}
    shapes = adapters.layer_shapes(model.source)
    with tempfile.TemporaryDirectory() as temporary:

        def run_of(count: int | None) -> Run:
            path = Path(temporary) / f"slots-{count}" / "model.onnx"
            bank = None if count is None else random_bank(shapes, count)
            build.build_graph(ExportSpec(model, "fp32", compare=False, bank=bank), path, (), progress)
            return Run(session(path), feed if count is None else feed | _slots(count))

        runs = [run_of(base), run_of(slots)]
        together, rows = runs[1](), _slots(slots)
        difference = 0.0
        for row in range(ADAPTERS):
            used = [*zip(rows["adapter"][row].tolist(), rows["adapter_scale"][row].tolist(), strict=True)]
            expected = _fused(model, random_bank(shapes, slots), used, tuple(value[row : row + 1] for value in inputs))
            difference = max(difference, relative(expected, together[row : row + 1]))
        before, after = _seconds(runs)
    percent = round(100 * (after / before - 1), 1)
    each = after / ADAPTERS * 1000
    how = f"{ADAPTERS} rows of 256 × 256 pixels, {each:.0f} ms a row with the bank, median of {ROUNDS} in turns"
    return Cost(difference, percent, how)


def _slots(count: int) -> dict[str, Any]:
    """`adapter` and `adapter_scale` of rows whose slots name adapters in turn, each at its own scale."""
    numbers = torch.arange(ADAPTERS)[:, None] + torch.arange(count)
    scales = torch.linspace(1, 0.25, ADAPTERS * count).view(ADAPTERS, count)
    return {"adapter": (numbers % ADAPTERS + 1).numpy(), "adapter_scale": scales.numpy()}


def _fused(model: Model, bank: Bank, used: Sequence[tuple[int, float]], inputs: Inputs) -> Any:
    """The plain network's answer for one row, with adapters, by number and scale, in its weights."""
    component = COMPONENTS[model.source.kind.name]
    network = component.load(model.source)
    for number, scale in used:
        loras.fuse(network, bank.adapters[number - 1][1], scale)
    with torch.inference_mode():
        return component.prepare(network).module(*inputs).numpy()


def _seconds(runs: Sequence[Run]) -> list[float]:
    """Median processor time of each; they take turns, so that the machine is the same for all."""
    seconds: list[list[float]] = [[] for _ in runs]
    for _ in range(ROUNDS):
        for run, times in zip(runs, seconds, strict=True):
            begin = time.process_time()
            run()
            times.append(time.process_time() - begin)
    return [statistics.median(times) for times in seconds]

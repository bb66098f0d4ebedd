"""A denoiser with an adapter bank: its rows against fused weights, and what the bank costs a row."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from export import adapters, build
from export.adapters import Bank, LoraRef
from export.contract import Size
from export.lora_files import Lora
from export.models import COMPONENTS
from export.plan import plan_repository
from export.running import relative, session
from export.source import open_folder
from export.spec import ExportSpec
from tests.export import loras

ADAPTERS, RANK, ROUNDS = 4, 8, 15
SIZE = Size(256, 256, 77)


def random_bank(shapes: dict[str, tuple[int, ...]]) -> Bank:
    """Four adapters of every linear layer, which is what most LoRA files change."""
    linear = {name: shape for name, shape in shapes.items() if len(shape) == 2}
    every = (loras.random_lora(linear, RANK, seed) for seed in range(ADAPTERS))
    return Bank(
        linear, ADAPTERS, RANK, tuple((LoraRef(f"lora{n}", Path("none")), lora) for n, lora in enumerate(every))
    )


def measure(folder: Path, progress: Callable[[str, str], None]) -> tuple[float, float, str]:
    """Measures a pipeline's denoiser.

    Returns:
        The largest relative difference of a row of the graph from torch with that row's adapter in its weights; the
        percentage that the bank adds to a row's time on the processor; and how it was measured.
    """
    model = plan_repository([open_folder(folder)]).models["denoiser"]
    bank = random_bank(adapters.layer_shapes(model.source))
    with tempfile.TemporaryDirectory() as base:
        plain, banked = Path(base) / "plain" / "model.onnx", Path(base) / "banked" / "model.onnx"
        build.build_graph(ExportSpec(model, "fp32", compare=False), plain, (), progress)
        build.build_graph(ExportSpec(model, "fp32", compare=False, bank=bank), banked, (), progress)
        component = COMPONENTS[model.source.kind.name]
        prepared = component.prepare(component.load(model.source))
        names = [spec.name for spec in prepared.inputs]
        inputs = prepared.sample(ADAPTERS, SIZE, torch.Generator().manual_seed(1))
        feed = {name: value.numpy() for name, value in zip(names, inputs, strict=True)}
        chosen = {
            "adapter": torch.arange(1, ADAPTERS + 1)[:, None].numpy(),
            "adapter_scale": torch.linspace(1, 0.25, ADAPTERS)[:, None].numpy(),
        }
        (together,) = session(banked).run(None, feed | chosen)
        difference = max(
            relative(fused(model, lora, float(chosen["adapter_scale"][row, 0]), inputs, row), together[row : row + 1])
            for row, (_, lora) in enumerate(bank.adapters)
        )
        cost, spread = price(session(plain), session(banked), feed, chosen)
    return difference, cost, spread


def fused(model: Any, lora: Lora, scale: float, inputs: tuple[torch.Tensor, ...], row: int) -> Any:
    """The plain network's answer for one row, with an adapter in its weights."""
    component = COMPONENTS[model.source.kind.name]
    network = component.load(model.source)
    loras.fuse(network, lora, scale)
    with torch.inference_mode():
        return component.prepare(network).module(*(value[row : row + 1] for value in inputs)).numpy()


def price(plain: Any, banked: Any, feed: dict[str, Any], chosen: dict[str, Any]) -> tuple[float, str]:
    """Percent more processor time for four rows; both take turns, so that the machine is the same for both."""
    seconds: dict[str, list[float]] = {"plain": [], "banked": []}
    for _ in range(ROUNDS):
        for name, run, inputs in (("plain", plain, feed), ("banked", banked, feed | chosen)):
            begin = time.process_time()
            run.run(None, inputs)
            seconds[name].append(time.process_time() - begin)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    cost = 100 * (medians["banked"] / medians["plain"] - 1)
    each = medians["banked"] / ADAPTERS * 1000
    return round(cost, 1), f"4 rows of 256 × 256 pixels, {each:.0f} ms a row with the bank, median of {ROUNDS} in turns"

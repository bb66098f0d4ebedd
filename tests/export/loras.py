"""LoRA files for tests: random updates of some layers, written as any of the formats that people have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from export.lora_files import Lora, Update


def random_lora(shapes: Mapping[str, tuple[int, ...]], rank: int, seed: int, strength: float = 0.5) -> Lora:
    """An update of every layer in `shapes`, of fp16 numbers, large enough to be seen."""
    generator, updates = torch.Generator().manual_seed(seed), {}
    for name, (out, *rest) in shapes.items():
        columns = torch.Size(rest).numel()
        r = min(rank, out, columns)
        down = torch.randn(r, columns, generator=generator) / columns**0.5
        up = torch.randn(out, r, generator=generator) / r**0.5
        updates[name] = Update(down.half().float(), up.half().float(), strength)
    return Lora(updates)


def halves(lora: Lora, shapes: Mapping[str, tuple[int, ...]]) -> Iterable[tuple[str, Tensor, Tensor, Tensor]]:
    """Layer, down, up and alpha as files store them."""
    for name, update in lora.updates.items():
        _, width, *kernel = shapes[name]
        down = update.down.view(-1, width, *kernel).half().contiguous()
        up = update.up.view(*update.up.shape, *(1 for _ in kernel)).half().contiguous()
        yield name, down, up, torch.tensor(update.strength * update.rank)


def write_peft(path: Path, lora: Lora, shapes: Mapping[str, tuple[int, ...]], prefix: str = "unet.") -> Path:
    """peft's keys, which have no place for alpha: it is inside the up matrix, doubled or halved without loss."""
    tensors = {}
    for name, down, up, _ in halves(lora, shapes):
        tensors[f"{prefix}{name}.lora_A.weight"] = down
        tensors[f"{prefix}{name}.lora_B.weight"] = up * lora.updates[name].strength
    save_file(tensors, path)
    return path


def write_diffusers(path: Path, lora: Lora, shapes: Mapping[str, tuple[int, ...]]) -> Path:
    """diffusers' keys, attention layers as processors of 2023 had them."""
    tensors = {}
    for name, down, up, _ in halves(lora, shapes):
        owner, _, layer = name.removesuffix(".0").rpartition(".")
        old = layer.startswith("to_") and "processor" not in name
        stem = f"unet.{owner}.processor.{layer}_lora" if old else f"unet.{name}.lora"
        tensors[f"{stem}.down.weight"] = down
        tensors[f"{stem}.up.weight"] = up * lora.updates[name].strength
    save_file(tensors, path)
    return path


def write_kohya(
    path: Path, lora: Lora, shapes: Mapping[str, tuple[int, ...]], names: Mapping[str, str] | None = None
) -> Path:
    """kohya's keys, with alpha; `names` are other names of the layers."""
    tensors = {}
    for name, down, up, alpha in halves(lora, shapes):
        stem = "lora_unet_" + (names or {}).get(name, name).replace(".", "_")
        tensors[f"{stem}.lora_down.weight"] = down
        tensors[f"{stem}.lora_up.weight"] = up
        tensors[f"{stem}.alpha"] = alpha
    save_file(tensors, path)
    return path


def fuse(network: nn.Module, lora: Lora, scale: float) -> None:
    """Adds an adapter to the weights of a network, in place."""
    with torch.no_grad():
        for name, update in lora.updates.items():
            weight = network.get_parameter(f"{name}.weight")
            weight.add_(scale * update.strength * (update.up @ update.down).view_as(weight))

"""Low-rank adaptation (Hu et al. 2021) of the linear layers of a network.

An update is a torch parametrization: a layer runs once, with the sum of its frozen weight and the low-rank product, so
training costs as much as plain fine-tuning. Fusing leaves an ordinary layer. Files have the keys of peft and diffusers.
Convolutions get no updates: in the adapter bank, a convolution's update costs each row several times more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.utils import parametrize


class LowRank(nn.Module):
    """weight + up @ down; `up` starts at zero."""

    def __init__(self, weight: Tensor, rank: int) -> None:
        super().__init__()
        rows, columns = weight.shape
        self.down = nn.Parameter(torch.randn(rank, columns, device=weight.device) / columns**0.5)
        self.up = nn.Parameter(torch.zeros(rows, rank, device=weight.device))

    def forward(self, weight: Tensor) -> Tensor:
        """The adapted weight."""
        return weight + self.up @ self.down


def layers(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Linear layers with their names, except those of an IP-Adapter, which has its own file."""
    for name, module in network.named_modules():
        if isinstance(module, nn.Linear) and ".processor." not in name:
            yield name, module


def attach(network: nn.Module, rank: int) -> list[nn.Parameter]:
    """Freezes `network`, adds a low-rank update to its linear layers and returns the parameters to train."""
    network.requires_grad_(False)
    parameters: list[nn.Parameter] = []
    for _, layer in list(layers(network)):
        weight = layer.weight
        assert isinstance(weight, Tensor)
        update = LowRank(weight, min(rank, *weight.shape))
        parametrize.register_parametrization(layer, "weight", update)
        parameters += [update.down, update.up]
    return parameters


def share(network: nn.Module, updates: Mapping[str, LowRank]) -> None:
    """Freezes `network` and gives its linear layers the updates of another network of the same layers."""
    network.requires_grad_(False)
    for name, layer in list(layers(network)):
        parametrize.register_parametrization(layer, "weight", updates[name])


def updates(network: nn.Module) -> dict[str, LowRank]:
    """The low-rank updates on a network's layers, by the layers' names."""
    by_layer: dict[str, LowRank] = {}
    for name, layer in layers(network):
        if parametrize.is_parametrized(layer, "weight"):
            update = layer.parametrizations["weight"][0]  # type: ignore[index]
            assert isinstance(update, LowRank)
            by_layer[name] = update
    return by_layer


def fuse(network: nn.Module) -> None:
    """Adds the updates to the weights and removes the parametrizations."""
    for _, layer in list(layers(network)):
        if parametrize.is_parametrized(layer, "weight"):
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)


def save(network: nn.Module, path: Path) -> None:
    """Writes the updates as fp16: `unet.<layer>.lora_A.weight` [r, in] and `lora_B.weight` [out, r]."""
    tensors: dict[str, Tensor] = {}
    for name, update in updates(network).items():
        tensors[f"unet.{name}.lora_A.weight"] = update.down
        tensors[f"unet.{name}.lora_B.weight"] = update.up
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: value.detach().half().cpu().contiguous() for name, value in tensors.items()}, path)


def load(network: nn.Module, path: Path) -> None:
    """Reads what `save` wrote into the updates of `network`.

    Raises:
        KeyError: if the file lacks a layer that has an update.
        RuntimeError: if an update has another shape.
    """
    tensors = load_file(path)
    for name, update in updates(network).items():
        down, up = tensors[f"unet.{name}.lora_A.weight"], tensors[f"unet.{name}.lora_B.weight"]
        update.load_state_dict({"down": down.float(), "up": up.float()})


def add(network: nn.Module, path: Path, scale: float = 1.0) -> None:
    """Adds the updates of a file to the unparametrized layers of `network`.

    Raises:
        KeyError: if the file adapts a layer that the network does not have.
    """
    tensors, plain = load_file(path), dict(layers(network))
    with torch.no_grad():
        for key in (key for key in tensors if key.endswith(".lora_A.weight")):
            name = key.removesuffix(".lora_A.weight").removeprefix("unet.")
            down, up = tensors[key].float(), tensors[key.replace("lora_A", "lora_B")].float()
            weight = plain[name].weight
            assert isinstance(weight, Tensor)
            weight += scale * (up @ down).to(weight.device)

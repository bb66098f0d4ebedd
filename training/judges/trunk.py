"""What both judges are made of: a small convolutional trunk, and weights that are published as fp16."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from export.networks.blocks import Residual

WEIGHTS_FILE = "model.safetensors"


class Trunk(nn.Module):
    """Features of pictures; every level has half the height and width of the one before."""

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, channels[0], 5, stride=2, padding=2)
        self.downs = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in itertools.pairwise(channels))
        self.blocks = nn.ModuleList(Residual(width) for width in channels[1:])
        self.norm = nn.GroupNorm(8, channels[-1])

    def features(self, image: Tensor) -> Tensor:
        """Features [B, C, h, w] of pictures [B, 3, H, W]."""
        x: Any = self.stem(image)
        for down, block in zip(self.downs, self.blocks, strict=True):
            x = block(down(x))
        return functional.silu(self.norm(x))


def write_weights(model: nn.Module, folder: Path) -> None:
    """Writes the weights as fp16; the folder is made."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: value.half().contiguous() for name, value in model.state_dict().items()}, folder / WEIGHTS_FILE)


def read_weights(model: torch.nn.Module, folder: Path) -> None:
    """Reads what `write_weights` wrote, as fp32; the model is frozen, in evaluation mode."""
    model.load_state_dict({name: value.float() for name, value in load_file(folder / WEIGHTS_FILE).items()})
    model.eval().requires_grad_(False)

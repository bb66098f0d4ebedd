"""The segmenter: finds the product in a photo, as a soft alpha."""

from __future__ import annotations

import itertools

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import nn


class _Double(nn.Module):
    """Two convolutions with normalisation between them."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm = nn.GroupNorm(4, out_channels)
        self.second = nn.Conv2d(out_channels, out_channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.silu(self.norm(self.first(x)))
        return nn.functional.silu(self.second(x))


class Segmenter(ModelMixin, ConfigMixin):
    """A small U-Net from a picture to the product's alpha.

    It works at half the picture's resolution and refines at the full one: the border is what a cut-out is judged by.
    """

    @register_to_config
    def __init__(self, channels: tuple[int, ...] = (12, 24, 48, 64)) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, channels[0], 3, stride=2, padding=1)
        pairs = list(itertools.pairwise(channels))
        self.enter = _Double(channels[0], channels[0])
        self.down = nn.ModuleList(_Double(a, b) for a, b in pairs)
        self.bottom = _Double(channels[-1], channels[-1])
        self.up = nn.ModuleList(_Double(a + b, a) for a, b in reversed(pairs))
        self.refine = nn.Sequential(
            nn.Conv2d(channels[0] + 3, 8, 3, padding=1), nn.SiLU(), nn.Conv2d(8, 1, 3, padding=1)
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Returns the alpha [B, 1, H, W] in [0, 1] of `image` [B, 3, H, W] in [-1, 1]; H and W multiples of 32."""
        x = self.enter(self.stem(image))
        skips = []
        for block in self.down:
            skips.append(x)
            x = block(nn.functional.avg_pool2d(x, 2))
        # One more halving gives every pixel a view of the whole product.
        wide = self.bottom(nn.functional.avg_pool2d(x, 2))
        x = x + nn.functional.interpolate(wide, scale_factor=2.0, mode="nearest")
        for block in self.up:
            x = nn.functional.interpolate(x, scale_factor=2.0, mode="nearest")
            x = block(torch.cat([x, skips.pop()], dim=1))
        x = nn.functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
        return torch.sigmoid(self.refine(torch.cat([x, image], dim=1)))

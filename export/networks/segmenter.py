"""The segmenter: finds the product in a photo, as a soft alpha."""

from __future__ import annotations

import itertools

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from export.networks.blocks import Residual

GROUPS = 4


class Segmenter(ModelMixin, ConfigMixin):
    """A small U-Net of residual blocks from a picture to the product's alpha.

    It thinks at a quarter of the picture's resolution and below, where every pixel sees the whole product, and draws
    the border at half of it, four pixels at a time: the border is what a cut-out is judged by.
    """

    @register_to_config
    def __init__(self, channels: tuple[int, ...] = (16, 32, 48, 80, 112), border_channels: int = 32) -> None:
        super().__init__()
        pairs = list(itertools.pairwise(channels))
        # 4x4 windows two pixels apart: with 12 channels or more, nothing of the full resolution is lost.
        self.stem = nn.Conv2d(3, channels[0], 4, stride=2, padding=1)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairs)
        self.enter = nn.ModuleList(Residual(width, GROUPS) for width in channels[1:])
        # Dilated, and with the mean of the whole picture: "the object in front" is a question about the whole.
        self.bottom = nn.ModuleList(Residual(channels[-1], GROUPS, dilation) for dilation in (1, 2))
        self.whole = nn.Linear(channels[-1], channels[-1])
        self.up = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in reversed(pairs))
        self.leave = nn.ModuleList(Residual(a, GROUPS) for a, _ in reversed(pairs[1:]))
        self.border = nn.Sequential(
            nn.Conv2d(2 * channels[0], border_channels, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(border_channels, 4, 3, padding=1),
            nn.PixelShuffle(2),
        )

    def logits(self, image: Tensor) -> Tensor:
        """The alpha before the sigmoid, [B, 1, H, W]."""
        fine = self.stem(image)
        x, skips = nn.functional.silu(fine), []
        for down, block in zip(self.down, self.enter, strict=True):
            x = block(down(x))
            skips.append(x)
        for block in self.bottom:
            x = block(x)
        x = x + self.whole(x.mean(dim=(2, 3)))[:, :, None, None]
        skips.pop()
        for up, block in zip(self.up, self.leave, strict=False):
            x = block(nn.functional.interpolate(up(x), scale_factor=2.0, mode="nearest") + skips.pop())
        x = nn.functional.interpolate(self.up[-1](x), scale_factor=2.0, mode="nearest")
        # The deep features, with the stem's features of the pixels.
        out: Tensor = self.border(torch.cat([x, fine], dim=1))
        return out

    def forward(self, image: Tensor) -> Tensor:
        """Returns the alpha [B, 1, H, W] in [0, 1] of `image` [B, 3, H, W] in [-1, 1]; H and W multiples of 32."""
        return torch.sigmoid(self.logits(image))

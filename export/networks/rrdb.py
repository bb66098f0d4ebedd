"""RRDBNet: the deep network of ESRGAN and Real-ESRGAN, residual in residual dense blocks."""

from __future__ import annotations

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

RESIDUAL_SCALE = 0.2
"""Every residual is multiplied by it, at both levels of nesting (Wang et al. 2018)."""


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def _active(x: Tensor) -> Tensor:
    return nn.functional.leaky_relu(x, 0.2)


class DenseBlock(nn.Module):
    """Five convolutions, each of which reads the block's input and the outputs of all before it."""

    def __init__(self, num_feat: int, num_grow_ch: int) -> None:
        super().__init__()
        self.conv1 = _conv(num_feat, num_grow_ch)
        self.conv2 = _conv(num_feat + num_grow_ch, num_grow_ch)
        self.conv3 = _conv(num_feat + 2 * num_grow_ch, num_grow_ch)
        self.conv4 = _conv(num_feat + 3 * num_grow_ch, num_grow_ch)
        self.conv5 = _conv(num_feat + 4 * num_grow_ch, num_feat)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] in and out."""
        features = x
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            features = torch.cat([features, _active(conv(features))], dim=1)
        out: Tensor = x + RESIDUAL_SCALE * self.conv5(features)
        return out


class NestedBlock(nn.Module):
    """Three dense blocks beside a shortcut."""

    def __init__(self, num_feat: int, num_grow_ch: int) -> None:
        super().__init__()
        self.rdb1 = DenseBlock(num_feat, num_grow_ch)
        self.rdb2 = DenseBlock(num_feat, num_grow_ch)
        self.rdb3 = DenseBlock(num_feat, num_grow_ch)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] in and out."""
        out: Tensor = x + RESIDUAL_SCALE * self.rdb3(self.rdb2(self.rdb1(x)))
        return out


class RRDBNet(ModelMixin, ConfigMixin):
    """ESRGAN's generator (Wang et al. 2018), with the names of the published weights.

    It works at a quarter of the large picture's size and doubles the features twice. At factor 2 the picture is first
    folded (pixel unshuffle) to half its size, as Real-ESRGAN does (Wang et al. 2021).
    """

    @register_to_config
    def __init__(self, num_feat: int = 64, num_block: int = 23, num_grow_ch: int = 32, scale: int = 4) -> None:
        super().__init__()
        self.fold = 4 // scale
        self.conv_first = _conv(3 * self.fold**2, num_feat)
        self.body = nn.ModuleList(NestedBlock(num_feat, num_grow_ch) for _ in range(num_block))
        self.conv_body = _conv(num_feat, num_feat)
        self.conv_up1 = _conv(num_feat, num_feat)
        self.conv_up2 = _conv(num_feat, num_feat)
        self.conv_hr = _conv(num_feat, num_feat)
        self.conv_last = _conv(num_feat, 3)

    def forward(self, image: Tensor) -> Tensor:
        """Returns the picture [B, 3, S·H, S·W] of `image` [B, 3, H, W], both in 0…1, not clipped."""
        x = image if self.fold == 1 else nn.functional.pixel_unshuffle(image, self.fold)
        first = deep = self.conv_first(x)
        for block in self.body:
            deep = block(deep)
        x = first + self.conv_body(deep)
        for conv in (self.conv_up1, self.conv_up2):
            x = _active(conv(nn.functional.interpolate(x, scale_factor=2.0, mode="nearest")))
        out: Tensor = self.conv_last(_active(self.conv_hr(x)))
        return out

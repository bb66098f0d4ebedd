"""The upscaler: a picture at twice its size, from Lanczos and what a small network adds to it."""

from __future__ import annotations

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

_TAPS = 7
"""Side of the window in which Lanczos (three lobes) finds the pixels of any phase."""
_NEAR = 5
"""Side of the window whose mean is taken away from what the network sees."""


def lanczos_phases(factor: int) -> Tensor:
    """Lanczos enlargement as a convolution: [factor², 7, 7], a kernel for each pixel that one pixel becomes."""
    phases = (torch.arange(factor, dtype=torch.float64) + 0.5) / factor - 0.5
    distance = phases[:, None] - torch.arange(-(_TAPS // 2), _TAPS // 2 + 1, dtype=torch.float64)
    taps = torch.where(distance.abs() < 3, torch.sinc(distance) * torch.sinc(distance / 3), 0.0)
    taps = taps / taps.sum(dim=1, keepdim=True)
    return torch.einsum("yi,xj->yxij", taps, taps).reshape(factor**2, _TAPS, _TAPS).float()


class Upscaler(ModelMixin, ConfigMixin):
    """Lanczos, and a stack of convolutions that adds what Lanczos leaves out (pixel shuffle: Shi et al. 2016).

    The network sees each pixel's difference from its neighbourhood, so brightness does not matter to it, and small
    differences survive half precision. Its last layer starts at zero: training begins with Lanczos.
    """

    @register_to_config
    def __init__(self, channels: int = 48, convolutions: int = 6, factor: int = 2) -> None:
        super().__init__()
        self.factor = factor
        layers: list[nn.Module] = [nn.Conv2d(3, channels, 3, padding=1), nn.PReLU(channels)]
        for _ in range(convolutions):
            layers += [nn.Conv2d(channels, channels, 3, padding=1), nn.PReLU(channels)]
        self.body = nn.ModuleList(layers)
        self.last = nn.Conv2d(channels, 3 * factor**2, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        assert self.last.bias is not None, "a convolution has one unless it is told otherwise"
        nn.init.zeros_(self.last.bias)
        self.register_buffer("lanczos", lanczos_phases(factor)[:, None].repeat(3, 1, 1, 1), persistent=False)
        self.register_buffer("near", torch.full((3, 1, _NEAR, _NEAR), 1 / _NEAR**2), persistent=False)

    @property
    def radius(self) -> int:
        """How many pixels away a pixel can still have an influence."""
        return len(self.body) // 2 + 1 + _NEAR // 2

    def forward(self, image: Tensor) -> Tensor:
        """Returns the picture [B, 3, S·H, S·W] of `image` [B, 3, H, W], both in 0…1, not clipped."""
        # Buffers as they are: autocast would round the picture itself to half precision.
        with torch.autocast(image.device.type, enabled=False):
            smooth = nn.functional.conv2d(image, self.lanczos, padding=_TAPS // 2, groups=3)
            x = (image - nn.functional.conv2d(image, self.near, padding=_NEAR // 2, groups=3)) * 4
        for layer in self.body:
            x = layer(x)
        added: Tensor = self.last(x)
        return nn.functional.pixel_shuffle(smooth + added.float(), self.factor)

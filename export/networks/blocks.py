"""The building block that our small convolutional networks share."""

from __future__ import annotations

from torch import Tensor, nn


class Residual(nn.Module):
    """Two normalised convolutions beside a shortcut, normalisation first (He et al. 2016, "Identity Mappings")."""

    def __init__(self, channels: int, groups: int = 8, dilation: int = 1) -> None:
        super().__init__()
        self.first_norm = nn.GroupNorm(groups, channels)
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second_norm = nn.GroupNorm(groups, channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] in and out."""
        y = self.first(nn.functional.silu(self.first_norm(x)))
        out: Tensor = x + self.second(nn.functional.silu(self.second_norm(y)))
        return out

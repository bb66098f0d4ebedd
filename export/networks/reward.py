"""The reward model: scores a finished picture for defects, fidelity to the prompt, and aesthetics."""

from __future__ import annotations

import itertools

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import nn


class _Block(nn.Module):
    """Halves the picture, then one residual convolution."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(in_channels, out_channels, 3, stride=2, padding=1)
        self.norm = nn.GroupNorm(8, out_channels)
        self.conv = nn.Conv2d(out_channels, out_channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.down(x))
        out: torch.Tensor = x + self.conv(nn.functional.silu(x))
        return out


class RewardModel(ModelMixin, ConfigMixin):
    """Three scores in [0, 1] for a picture; higher is better.

    The scores come in the order `defects` (1 = no defect), `fidelity` (the picture shows what the prompt asks for)
    and `aesthetics` (a proxy learnt from degraded pictures, not from people's taste).
    """

    @register_to_config
    def __init__(self, channels: tuple[int, ...] = (16, 32, 64, 96), text_dim: int = 160, match_dim: int = 64) -> None:
        super().__init__()
        # The border of the mask is where defects live, so the mask is seen by every layer, not only pooled.
        widths = (4, *channels)
        self.blocks = nn.ModuleList(_Block(a, b) for a, b in itertools.pairwise(widths))
        self.defects = nn.Sequential(nn.Linear(3 * channels[-1], 64), nn.SiLU(), nn.Linear(64, 1))
        self.aesthetics = nn.Sequential(nn.Linear(2 * channels[-1], 64), nn.SiLU(), nn.Linear(64, 1))
        self.image_match = nn.Linear(2 * channels[-1], match_dim)
        self.text_match = nn.Sequential(nn.Linear(text_dim, match_dim), nn.SiLU(), nn.Linear(match_dim, match_dim))
        self.fidelity = nn.Sequential(nn.Linear(2 * match_dim, match_dim), nn.SiLU(), nn.Linear(match_dim, 1))

    def forward(self, image: torch.Tensor, mask: torch.Tensor, text_embeds: torch.Tensor) -> torch.Tensor:
        """Scores pictures.

        Args:
            image: [B, 3, H, W] in [-1, 1]; H and W multiples of 16.
            mask: [B, 1, H, W] in [0, 1]; 1 where the background was made.
            text_embeds: [B, text_dim], the projected embedding of the prompt.

        Returns:
            [B, 3] scores in [0, 1].
        """
        x = torch.cat([image, mask], dim=1)
        for block in self.blocks:
            x = block(x)
        mean, peak = x.mean(dim=(2, 3)), x.amax(dim=(2, 3))
        # A broken outline is local: the mean of a whole picture would drown it, and its lowest value shows gaps.
        low = x.amin(dim=(2, 3))
        pooled = torch.cat([mean, peak], dim=1)
        image_side, text_side = self.image_match(pooled), self.text_match(text_embeds)
        match = torch.cat([image_side * text_side, (image_side - text_side).abs()], dim=1)
        logits = torch.cat(
            [self.defects(torch.cat([pooled, low], dim=1)), self.fidelity(match), self.aesthetics(pooled)], dim=1
        )
        return torch.sigmoid(logits)

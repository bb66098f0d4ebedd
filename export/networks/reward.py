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
        # Seen beside the picture: the mask, fine detail, and the band along the product's border.
        widths = (6, *channels)
        self.blocks = nn.ModuleList(_Block(a, b) for a, b in itertools.pairwise(widths))
        whole, looks = 2 * channels[-1], 3 * channels[-1] + 8
        sides = 3 * sum(channels)
        self.defects = nn.Sequential(nn.LayerNorm(sides), nn.Linear(sides, 64), nn.SiLU(), nn.Linear(64, 1))
        self.aesthetics = nn.Sequential(nn.Linear(looks, 64), nn.SiLU(), nn.Linear(64, 1))
        self.image_match = nn.Linear(whole, match_dim)
        self.text_match = nn.Sequential(nn.Linear(text_dim, match_dim), nn.SiLU(), nn.Linear(match_dim, match_dim))
        self.fidelity = nn.Sequential(nn.Linear(2 * match_dim, match_dim), nn.SiLU(), nn.Linear(match_dim, 1))

    def see(self, image: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Features of the whole [B, 2C], of its looks [B, 3C + 8], and of the product's border at each scale [B, S]."""
        fine = (image - nn.functional.avg_pool2d(image, 3, 1, 1)).abs().mean(dim=1, keepdim=True) * 8
        # Widened by 4 pixels to each side: defects live on the border, and the mean of a whole picture drowns them.
        band = nn.functional.max_pool2d(mask, 9, 1, 4) + nn.functional.max_pool2d(-mask, 9, 1, 4)
        x = torch.cat([image, mask, fine, band], dim=1)
        places = torch.cat([band * mask, band * (1 - mask), mask], dim=1)
        sides = []
        for block in self.blocks:
            x, places = block(x), nn.functional.avg_pool2d(places, 2)
            seen = nn.functional.silu(x)
            share = places / places.sum(dim=(2, 3), keepdim=True).clamp(min=1e-3)
            # Just outside the border, just inside, and all of the background: a seam is a difference between them.
            sides += [(seen * share[:, n : n + 1]).sum(dim=(2, 3)) for n in range(3)]
        near = nn.functional.avg_pool2d(band, 2 ** len(self.blocks))
        border = (seen * near).sum(dim=(2, 3)) / near.sum(dim=(2, 3)).clamp(min=1e-3)
        whole = torch.cat([seen.mean(dim=(2, 3)), seen.amax(dim=(2, 3))], dim=1)
        plain = torch.cat([image, fine], dim=1)
        middle = plain.mean(dim=(2, 3), keepdim=True)
        spread = (plain - middle).abs().mean(dim=(2, 3))
        return whole, torch.cat([whole, border, middle.flatten(1), spread], dim=1), torch.cat(sides, dim=1)

    def match(self, whole: torch.Tensor, text_embeds: torch.Tensor) -> torch.Tensor:
        """Logits [B, 1] of pictures' features [B, 2C] showing what texts [B, text_dim] say."""
        image_side, text_side = self.image_match(whole), self.text_match(text_embeds)
        pair = torch.cat([image_side * text_side, (image_side - text_side).abs()], dim=1)
        logits: torch.Tensor = self.fidelity(pair)
        return logits

    def forward(self, image: torch.Tensor, mask: torch.Tensor, text_embeds: torch.Tensor) -> torch.Tensor:
        """Scores pictures.

        Args:
            image: [B, 3, H, W] in [-1, 1]; H and W multiples of 16.
            mask: [B, 1, H, W] in [0, 1]; 1 where the background was made.
            text_embeds: [B, text_dim], the projected embedding of the prompt.

        Returns:
            [B, 3] scores in [0, 1].
        """
        whole, looks, sides = self.see(image, mask)
        logits = [self.defects(sides), self.match(whole, text_embeds), self.aesthetics(looks)]
        return torch.sigmoid(torch.cat(logits, dim=1))

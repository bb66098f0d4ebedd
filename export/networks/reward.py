"""The reward model: scores a finished picture for defects, fidelity to the prompt, and aesthetics."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn
from torch.nn import functional

from export.networks.blocks import Residual


@dataclass(frozen=True)
class Features:
    """What the network computes of pictures before the heads score them."""

    places: Tensor
    """Features [B, C, H/8, W/8] by place in the picture."""
    whole: Tensor
    """Features [B, W] of the whole picture, its colours among them."""
    surface: Tensor
    """Means and maxima [B, S] of the features at 1/2, 1/4 and 1/8: blur, noise and blocks show there alone."""


class _Worst(nn.Module):
    """A logit of a picture from its worst places: a defect is small, and the mean of a picture drowns it.

    Each place votes; the largest vote counts, beside the features that attention (Ilse et al. 2018) picks.
    """

    def __init__(self, channels: int, heads: int = 4) -> None:
        super().__init__()
        self.vote = nn.Conv2d(channels, 1, 1)
        self.look = nn.Conv2d(channels, heads, 1)
        self.judge = nn.Sequential(nn.Linear((heads + 1) * channels, 64), nn.SiLU(), nn.Linear(64, 1))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] to [B, 1]."""
        share = self.look(x).flatten(2).softmax(dim=2)
        # A product and a sum, not a matrix product: onnxruntime cuts the sums of one up differently for a row alone on
        # several threads than for a row in a batch, and a score must not depend on the batch.
        picked = (share[:, :, None] * x.flatten(2)[:, None]).sum(dim=3).flatten(1)
        out: Tensor = self.judge(torch.cat([picked, x.amax(dim=(2, 3))], dim=1)) - self.vote(x).amax(dim=(2, 3))
        return out


def _widest(x: Tensor) -> Tensor:
    """The largest value within 4 pixels, [B, 1, H, W]: by rows and then by columns, which is the same and cheaper."""
    return functional.max_pool2d(functional.max_pool2d(x, (9, 1), 1, (4, 0)), (1, 9), 1, (0, 4))


class RewardModel(ModelMixin, ConfigMixin):
    """Three scores in [0, 1] for a picture; higher is better.

    The scores come in the order `defects` (1 = no defect), `fidelity` (the picture shows what the prompt asks for)
    and `aesthetics` (a proxy learnt from degraded pictures, not from people's taste).
    """

    @register_to_config
    def __init__(self, channels: tuple[int, ...] = (24, 48, 64, 96), text_dim: int = 160, match_dim: int = 64) -> None:
        super().__init__()
        # Read with the picture: the mask, fine detail, and the band along the product's border. 4x4 windows two
        # pixels apart keep the full resolution: a broken outline is one pixel wide.
        self.stem = nn.Conv2d(6, channels[0], 4, stride=2, padding=1)
        self.first = nn.Conv2d(channels[0], channels[0], 3, padding=1)
        self.downs = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in itertools.pairwise(channels))
        self.blocks = nn.ModuleList(Residual(width) for width in channels[1:])
        self.wide = Residual(channels[-1], dilation=2)
        self.back = nn.Conv2d(channels[-1], channels[-2], 1)
        self.join = Residual(channels[-2])
        self.defects = _Worst(channels[-2])
        whole = 2 * channels[-1] + 8
        self.whole = nn.Sequential(nn.Linear(whole, 128), nn.SiLU())
        surface = 2 * sum(channels[:-1])
        self.aesthetics = nn.Sequential(nn.Linear(128 + surface, 64), nn.SiLU(), nn.Linear(64, 1))
        self.image_match = nn.Linear(128, match_dim)
        self.text_match = nn.Sequential(nn.Linear(text_dim, match_dim), nn.SiLU(), nn.Linear(match_dim, match_dim))
        self.fidelity = nn.Sequential(nn.Linear(2 * match_dim, match_dim), nn.SiLU(), nn.Linear(match_dim, 1))

    def see(self, image: Tensor, mask: Tensor) -> Features:
        """Features of pictures [B, 3, H, W] whose background was made where `mask` [B, 1, H, W] is 1."""
        fine = (image - functional.avg_pool2d(image, 3, 1, 1)).abs().mean(dim=1, keepdim=True) * 8
        # Widened by 4 pixels to each side of the border, which is where defects live.
        band = _widest(mask) + _widest(-mask)
        x = functional.silu(self.stem(torch.cat([image, mask, fine, band], dim=1)))
        x = x + self.first(x)
        first, steps = x, []
        for down, block in zip(self.downs, self.blocks, strict=True):
            x = block(down(functional.silu(x)))
            steps.append(x)
        x = self.wide(x)
        # At 1/8 a defect still has a place; what is around it comes from 1/16.
        around = functional.interpolate(self.back(x), scale_factor=2.0, mode="nearest")
        places = functional.silu(self.join(steps[-2] + around))
        x = functional.silu(x)
        plain = torch.cat([image, fine], dim=1)
        middle = plain.mean(dim=(2, 3), keepdim=True)
        spread = (plain - middle).abs().mean(dim=(2, 3))
        deep = torch.cat([x.mean(dim=(2, 3)), x.amax(dim=(2, 3)), middle.flatten(1), spread], dim=1)
        levels = [functional.silu(level) for level in (first, *steps[:-1])]
        surface = torch.cat(
            [pool for level in levels for pool in (level.mean(dim=(2, 3)), level.amax(dim=(2, 3)))], dim=1
        )
        return Features(places, self.whole(deep), surface)

    def looks(self, seen: Features) -> Tensor:
        """Logits [B, 1] of aesthetics."""
        logits: Tensor = self.aesthetics(torch.cat([seen.whole, seen.surface], dim=1))
        return logits

    def match(self, whole: Tensor, text_embeds: Tensor) -> Tensor:
        """Logits [B, 1] of pictures' features [B, W] showing what texts [B, text_dim] say."""
        image_side, text_side = self.image_match(whole), self.text_match(text_embeds)
        pair = torch.cat([image_side * text_side, (image_side - text_side).abs()], dim=1)
        logits: Tensor = self.fidelity(pair)
        return logits

    def forward(self, image: Tensor, mask: Tensor, text_embeds: Tensor) -> Tensor:
        """Scores pictures.

        Args:
            image: [B, 3, H, W] in [-1, 1]; H and W multiples of 16.
            mask: [B, 1, H, W] in [0, 1]; 1 where the background was made.
            text_embeds: [B, text_dim], the projected embedding of the prompt.

        Returns:
            [B, 3] scores in [0, 1].
        """
        seen = self.see(image, mask)
        logits = [self.defects(seen.places), self.match(seen.whole, text_embeds), self.looks(seen)]
        return torch.sigmoid(torch.cat(logits, dim=1))


class RewardWithoutText(nn.Module):
    """The two scores that need no prompt, `defects` and `aesthetics`, for pipelines whose text is not this model's.

    The heads were trained side by side on the same features, so that each of them is the same without the third.
    """

    def __init__(self, model: RewardModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        """[B, 2] scores of pictures; arguments as for `RewardModel`."""
        seen = self.model.see(image, mask)
        logits = [self.model.defects(seen.places), self.model.looks(seen)]
        return torch.sigmoid(torch.cat(logits, dim=1))

"""UVE, the unified visual embedding: what a picture's scene and light look like, as a float and a binary vector.

After Zhai et al. 2019 (Pinterest's unified embedding): one network trained on several naming tasks at once, and a
binary code beside the float embedding that serves nearly as well and takes one bit a number.
"""

from __future__ import annotations

import itertools

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from export.networks.blocks import Residual
from export.networks.image_pixels import small_picture


class UVE(ModelMixin, ConfigMixin):
    """A small convolutional network with a float and a binary embedding of a picture."""

    @register_to_config
    def __init__(
        self, channels: tuple[int, ...] = (24, 48, 96, 144), dim: int = 128, groups: int = 8, size: int = 128
    ) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, channels[0], 5, stride=4, padding=2)
        self.blocks = nn.ModuleList(Residual(width, groups) for width in channels)
        self.downs = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in itertools.pairwise(channels))
        self.norm = nn.GroupNorm(groups, channels[-1])
        # With the deep features: mean and spread of the shallow ones, which describe colours best.
        self.embed = nn.Linear(2 * channels[-1] + 2 * channels[0], dim)
        self.signs = nn.Linear(dim, dim)

    def features(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Embedding [B, dim], L2-normalised, and the logits [B, dim] of the binary code."""
        x = self.blocks[0](self.stem(small_picture(image, self.config["size"])))
        shallow = torch.cat([x.mean((2, 3)), (x - x.mean((2, 3), keepdim=True)).square().mean((2, 3))], dim=1)
        for down, block in zip(self.downs, itertools.islice(self.blocks, 1, None), strict=True):
            x = block(down(x))
        x = nn.functional.silu(self.norm(x))
        deep = torch.cat([x.mean((2, 3)), x.amax((2, 3))], dim=1)
        embedding = nn.functional.normalize(self.embed(torch.cat([deep, shallow], dim=1)), dim=1)
        return embedding, self.signs(embedding)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Embeds pictures.

        Args:
            image: [B, 3, H, W] in [-1, 1], of any size: it is resized inside.

        Returns:
            The embedding [B, dim], L2-normalised, and the binary code [B, dim] of zeros and ones.
        """
        embedding, logits = self.features(image)
        return embedding, (logits > 0).to(embedding.dtype)

"""The image projector: turns a style picture's two embeddings into tokens the denoiser's image attention reads.

As ImageProjModel of IP-Adapter (Ye et al. 2023), but of both encoders' embeddings side by side; with no UVE
(`uve_dim` 0) it is that model, and reads published weights.
"""

from __future__ import annotations

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn


class ImageProjector(ModelMixin, ConfigMixin):
    """One linear layer from the two embeddings to a few tokens, each normalised."""

    @register_to_config
    def __init__(
        self, uve_dim: int = 128, clip_dim: int = 160, tokens: int = 4, cross_attention_dim: int = 256
    ) -> None:
        super().__init__()
        self.proj = nn.Linear(uve_dim + clip_dim, tokens * cross_attention_dim)
        self.norm = nn.LayerNorm(cross_attention_dim)

    def forward(self, uve: Tensor, clip: Tensor) -> Tensor:
        """Projects embeddings.

        Args:
            uve: [B, uve_dim], L2-normalised.
            clip: [B, clip_dim], L2-normalised.

        Returns:
            Image tokens [B, tokens, cross_attention_dim].
        """
        tokens: Tensor = self.proj(torch.cat([uve, clip], dim=1))
        tokens = tokens.reshape(-1, self.config["tokens"], self.config["cross_attention_dim"])
        return torch.as_tensor(self.norm(tokens))

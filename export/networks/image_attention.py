"""Decoupled cross-attention for image tokens (IP-Adapter, Ye et al. 2023), with a scale of its own for every row."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import Attention, AttnProcessor
from safetensors.torch import load_file, save_file
from torch import nn

from export.ip_adapters import FILE, PROJECTOR

Conditioning = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Text states [B, T, D], image tokens [B, N, D], image scale [B, 1]: the UNet's `encoder_hidden_states`."""


def attend(attn: Attention, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Multi-head attention as plain matrix products: [B, S, D] x [B, T, D] -> [B, S, D]."""
    q, k, v = attn.head_to_batch_dim(query), attn.head_to_batch_dim(key), attn.head_to_batch_dim(value)
    probabilities = attn.get_attention_scores(q, k)
    return torch.as_tensor(attn.batch_to_head_dim(torch.bmm(probabilities, v)))


class ImageAttnProcessor(nn.Module):
    """Adds `image_scale` times an attention over the image tokens to the text's; both share the query."""

    def __init__(self, hidden_size: int, cross_attention_dim: int) -> None:
        super().__init__()
        self.to_k_ip = nn.Linear(cross_attention_dim, hidden_size, bias=False)
        self.to_v_ip = nn.Linear(cross_attention_dim, hidden_size, bias=False)

    def forward(
        self, attn: Attention, hidden_states: torch.Tensor, encoder_hidden_states: Conditioning, **_: object
    ) -> torch.Tensor:
        """Returns [B, S, D] for hidden states of the same shape."""
        text, tokens, scale = encoder_hidden_states
        query = attn.to_q(hidden_states)
        attended = attend(attn, query, attn.to_k(text), attn.to_v(text))
        attended = attended + scale[:, :, None].to(attended.dtype) * attend(
            attn, query, self.to_k_ip(tokens), self.to_v_ip(tokens)
        )
        out: torch.Tensor = attn.to_out[1](attn.to_out[0](attended))
        return out


def install(unet: UNet2DConditionModel) -> nn.ModuleDict:
    """Puts image attention on every cross-attention of `unet`; returns the new layers by IP-Adapter's numbering.

    The UNet's `encoder_hidden_states` is a `Conditioning` from then on. A fresh layer's values start at zero, so that
    an untrained adapter changes nothing.
    """
    processors: dict[str, object] = {}
    layers = nn.ModuleDict()
    for index, name in enumerate(unet.attn_processors):
        if not name.endswith("attn2.processor"):
            processors[name] = AttnProcessor()
            continue
        attn = unet.get_submodule(name.removesuffix(".processor"))
        layer = ImageAttnProcessor(attn.to_k.out_features, attn.to_k.in_features)
        nn.init.zeros_(layer.to_v_ip.weight)
        processors[name] = layers[str(index)] = layer
    unet.set_attn_processor(processors)
    return layers


def save(layers: nn.ModuleDict, folder: Path) -> None:
    """Writes the layers' weights under the keys of published IP-Adapter files: `ip_adapter.<n>.to_k_ip.weight`."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"ip_adapter.{name}": value.half().contiguous() for name, value in layers.state_dict().items()}
    save_file(tensors, folder / FILE)


def load(layers: nn.ModuleDict, path: Path) -> None:
    """Reads what `save` wrote into a folder, or a published file, whose projector is not looked at.

    Raises:
        RuntimeError: if a layer is missing, unknown or of another shape.
    """
    tensors: Mapping[str, torch.Tensor] = load_file(path / FILE if path.is_dir() else path)
    layers.load_state_dict(
        {
            name.removeprefix("ip_adapter."): value.float()
            for name, value in tensors.items()
            if not name.startswith(PROJECTOR)
        }
    )

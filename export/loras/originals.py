"""What the first code of UNets (ldm, sgm) and of Stable Diffusion 3 (MMDiT) calls the layers that diffusers renamed.

There, the blocks of a UNet's levels are numbered in one row: `input_blocks.<n>.<0: resnet, 1: attention>`, where each
level has its resnets and, but for the last, a downsampler; `output_blocks` likewise, one resnet more to a level. MMDiT
holds queries, keys and values of an attention in one layer.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """Which rows of a written layer are a layer's own."""

    part: int = 0
    parts: int = 1
    """The written layer is fused of this many of equal size, of which `part` is the layer."""
    swapped: bool = False
    """Whether its halves stand the other way round: shift and scale of a modulation."""


Names = Mapping[str, tuple[tuple[str, Place], ...]]
"""By a written name: the layers that it is made of, with their places in it."""
RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
UNET = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_out": "out.2",
}
MMDIT = {
    "pos_embed.proj": "x_embedder.proj",
    "context_embedder": "context_embedder",
    "time_text_embed.timestep_embedder.linear_1": "t_embedder.mlp.0",
    "time_text_embed.timestep_embedder.linear_2": "t_embedder.mlp.2",
    "time_text_embed.text_embedder.linear_1": "y_embedder.mlp.0",
    "time_text_embed.text_embedder.linear_2": "y_embedder.mlp.2",
    "norm_out.linear": "final_layer.adaLN_modulation.1",
    "proj_out": "final_layer.linear",
}
MMDIT_BLOCK = {
    "norm1.linear": "x_block.adaLN_modulation.1",
    "norm1_context.linear": "context_block.adaLN_modulation.1",
    "attn.to_q": "x_block.attn.qkv",
    "attn.to_k": "x_block.attn.qkv",
    "attn.to_v": "x_block.attn.qkv",
    "attn.to_out.0": "x_block.attn.proj",
    "attn.add_q_proj": "context_block.attn.qkv",
    "attn.add_k_proj": "context_block.attn.qkv",
    "attn.add_v_proj": "context_block.attn.qkv",
    "attn.to_add_out": "context_block.attn.proj",
    "attn2.to_q": "x_block.attn2.qkv",
    "attn2.to_k": "x_block.attn2.qkv",
    "attn2.to_v": "x_block.attn2.qkv",
    "attn2.to_out.0": "x_block.attn2.proj",
    "ff.net.0.proj": "x_block.mlp.fc1",
    "ff.net.2": "x_block.mlp.fc2",
    "ff_context.net.0.proj": "context_block.mlp.fc1",
    "ff_context.net.2": "context_block.mlp.fc2",
}
FUSED = {
    "to_qkv": ("to_q", "to_k", "to_v"),
    "to_kv": ("to_k", "to_v"),
    "to_added_qkv": ("add_q_proj", "add_k_proj", "add_v_proj"),
}
"""What diffusers calls projections that `fuse_qkv_projections` has joined."""
DOWN = re.compile(r"down_blocks\.(\d+)\.(resnets|attentions|downsamplers)\.(\d+)\.(.+)")
MIDDLE = re.compile(r"mid_block\.(resnets|attentions)\.(\d+)\.(.+)")
UP = re.compile(r"up_blocks\.(\d+)\.(resnets|attentions|upsamplers)\.(\d+)\.(.+)")
BLOCK = re.compile(r"transformer_blocks\.(\d+)\.(.+)")


def original_names(layers: Mapping[str, tuple[int, ...]]) -> Names:
    """The first code's names of a network's layers; empty for networks of other families.

    Args:
        layers: The shapes of the weights, by diffusers' names.
    """
    mmdit = any(name.startswith("transformer_blocks.") for name in layers)
    originals = _mmdit_names(layers) if mmdit else _unet_names(layers)
    together: dict[str, list[str]] = defaultdict(list)
    for name, original in originals.items():
        together[original].append(name)
    # The table lists queries, keys and values in the order in which they are joined.
    order = {rest: number for number, rest in enumerate(MMDIT_BLOCK)}
    return {
        original: tuple(
            (name, Place(part, len(names), _swapped(name, layers[name])))
            for part, name in enumerate(sorted(names, key=lambda name: order.get(_rest(name), 0)))
        )
        for original, names in together.items()
    }


def fused_names(layers: Mapping[str, tuple[int, ...]]) -> Names:
    """The names of joined projections, for every attention that has all of the parts, of one shape."""
    result = {}
    for name in layers:
        owner, _, last = name.rpartition(".")
        for joined, parts in FUSED.items():
            names = [f"{owner}.{part}" for part in parts]
            if last == parts[0] and len({layers.get(part) for part in names}) == 1:
                result[f"{owner}.{joined}"] = tuple(
                    (part, Place(number, len(names))) for number, part in enumerate(names)
                )
    return result


def _rest(name: str) -> str:
    match = BLOCK.fullmatch(name)
    return match[2] if match else name


def _swapped(name: str, shape: tuple[int, ...]) -> bool:
    # Modulations by shift and scale alone: diffusers' AdaLayerNormContinuous has scale first.
    return _rest(name) in ("norm_out.linear", "norm1_context.linear") and shape[0] == 2 * shape[1]


def _mmdit_names(layers: Iterable[str]) -> dict[str, str]:
    originals = {}
    for name in layers:
        if name in MMDIT:
            originals[name] = MMDIT[name]
        elif (match := BLOCK.fullmatch(name)) and match[2] in MMDIT_BLOCK:
            originals[name] = f"joint_blocks.{match[1]}.{MMDIT_BLOCK[match[2]]}"
    return originals


def _unet_names(layers: Iterable[str]) -> dict[str, str]:
    layers = list(layers)
    down = [(int(m[1]), int(m[3])) for m in map(DOWN.fullmatch, layers) if m and m[2] == "resnets"]
    depth = 1 + max((number for _, number in down), default=0)
    attended = {int(m[1]) for m in map(UP.fullmatch, layers) if m and m[2] == "attentions"}
    originals = {}
    for name in layers:
        original = UNET.get(name) or _unet_block(name, depth, attended)
        if original is not None:
            originals[name] = original
    return originals


def _unet_block(name: str, depth: int, attended: set[int]) -> str | None:
    if m := DOWN.fullmatch(name):
        block, kind, number, rest = int(m[1]), m[2], int(m[3]), m[4]
        if kind == "downsamplers":
            return f"input_blocks.{(block + 1) * (depth + 1)}.0.op"
        at = 1 + block * (depth + 1) + number
        return f"input_blocks.{at}.{_inner(kind, rest)}"
    if m := MIDDLE.fullmatch(name):
        place = 1 if m[1] == "attentions" else 2 * int(m[2])
        return f"middle_block.{place}.{RESNET.get(m[3], m[3]) if m[1] == 'resnets' else m[3]}"
    if m := UP.fullmatch(name):
        block, kind, number, rest = int(m[1]), m[2], int(m[3]), m[4]
        if kind == "upsamplers":
            return f"output_blocks.{(block + 1) * (depth + 1) - 1}.{2 if block in attended else 1}.conv"
        return f"output_blocks.{block * (depth + 1) + number}.{_inner(kind, rest)}"
    return None


def _inner(kind: str, rest: str) -> str:
    return f"1.{rest}" if kind == "attentions" else f"0.{RESNET.get(rest, rest)}"

"""Single-file checkpoints in the layout of Stable Diffusion's authors, made from small diffusers folders."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from export.loras.originals import original_names

Tensors = Mapping[str, Tensor]
OPEN_CLIP = {
    "embeddings.token_embedding.weight": "token_embedding.weight",
    "embeddings.position_embedding.weight": "positional_embedding",
    "final_layer_norm.": "ln_final.",
    "encoder.layers.": "transformer.resblocks.",
    "layer_norm": "ln_",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn": "attn",
}
"""How OpenCLIP calls the parts of a text encoder."""
VAE = {
    "mid_block.resnets.0": "mid.block_1",
    "mid_block.resnets.1": "mid.block_2",
    "mid_block.attentions.0": "mid.attn_1",
    "group_norm": "norm",
    "to_q": "q",
    "to_k": "k",
    "to_v": "v",
    "to_out.0": "proj_out",
    "conv_norm_out": "norm_out",
    "conv_shortcut": "nin_shortcut",
    "downsamplers.0": "downsample",
    "upsamplers.0": "upsample",
    "resnets": "block",
}
"""How the first VAE's code calls the parts that diffusers renamed."""


def write_single_file(folder: Path, file: Path, dtype: torch.dtype = torch.float32) -> Path:
    """Writes the checkpoint of a folder of Stable Diffusion 1.5 or SDXL."""
    tensors = {f"model.diffusion_model.{name}": tensor for name, tensor in unet(component(folder / "unet"))}
    tensors |= {f"first_stage_model.{name}": tensor for name, tensor in vae(component(folder / "vae"))}
    text = {f"transformer.text_model.{name}": tensor for name, tensor in component(folder / "text_encoder").items()}
    if (folder / "text_encoder_2").is_dir():
        tensors |= {f"conditioner.embedders.0.{name}": tensor for name, tensor in text.items()}
        second = open_clip(component(folder / "text_encoder_2"))
        tensors |= {f"conditioner.embedders.1.model.{name}": tensor for name, tensor in second}
    else:
        tensors |= {f"cond_stage_model.{name}": tensor for name, tensor in text.items()}
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.to(dtype).contiguous().clone() for name, tensor in tensors.items()}, file)
    return file


def component(folder: Path) -> Tensors:
    """The weights of a component. transformers writes text encoders with and without `text_model.`."""
    (file,) = folder.glob("*.safetensors")
    return {name.removeprefix("text_model."): tensor for name, tensor in load_file(file).items()}


def unet(tensors: Tensors) -> Iterator[tuple[str, Tensor]]:
    """The weights of a UNet by the names of the first code."""
    owners = {name.rpartition(".")[0]: tuple(tensor.shape) for name, tensor in tensors.items()}
    names = {layers[0][0]: name for name, layers in original_names(owners).items()} | {"conv_norm_out": "out.0"}
    for name, tensor in tensors.items():
        owner, _, kind = name.rpartition(".")
        yield f"{names[owner]}.{kind}", tensor


def vae(tensors: Tensors) -> Iterator[tuple[str, Tensor]]:
    """The weights of a VAE by the names of the first code: its decoder counts levels from the finest."""
    levels = 1 + max(int(match[1]) for match in map(re.compile(r".*up_blocks\.(\d+)").match, tensors) if match)
    for name, tensor in tensors.items():
        renamed = re.sub(r"up_blocks\.(\d+)", lambda match: f"up.{levels - 1 - int(match[1])}", name)
        renamed = renamed.replace("down_blocks", "down")
        for ours, theirs in VAE.items():
            renamed = renamed.replace(ours, theirs)
        # Attention was made of convolutions.
        convolution = ".attn_1." in renamed and tensor.ndim == 2
        yield renamed, tensor[:, :, None, None] if convolution else tensor


def open_clip(tensors: Tensors) -> Iterator[tuple[str, Tensor]]:
    """The weights of a CLIP text encoder by OpenCLIP's names: one tensor for queries, keys and values."""
    yield "text_projection", tensors["text_projection.weight"].T
    for name, tensor in tensors.items():
        if name == "text_projection.weight" or ".k_proj." in name or ".v_proj." in name:
            continue
        renamed = name
        for ours, theirs in OPEN_CLIP.items():
            renamed = renamed.replace(ours, theirs)
        if ".q_proj." in name:
            parts = [tensors[name.replace("q_proj", f"{part}_proj")] for part in "qkv"]
            yield renamed.replace(".q_proj.", ".in_proj_"), torch.cat(parts)
        else:
            yield renamed, tensor

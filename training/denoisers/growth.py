"""Starts a denoiser from the weights of a smaller one, or of one for fewer latent channels.

Blocks that the smaller network lacks start as the identity (Chen et al. 2016, Net2Net), so that a network with more
blocks computes what the smaller one does. With more latent channels, the first three stay, since they are the colours
of the picture for every autoencoder here; weights of the others start small and random.
"""

from __future__ import annotations

import re

import torch
from diffusers import SD3Transformer2DModel, UNet2DConditionModel
from torch import Tensor

from training.config import Config
from training.core import networks
from training.encoders.vae import OPPONENT

COLOURS = len(OPPONENT)
"""The latent channels that mean the same for every autoencoder (`training.encoders.vae.Guide`)."""
SMALL = 0.03
"""Standard deviation of the weights of new channels."""
_BLOCK = re.compile(r"(down|up)_blocks\.(\d+)\.(resnets|attentions)\.(\d+)\.")


def grown(config: Config, smaller: UNet2DConditionModel) -> UNet2DConditionModel:
    """The stage 1 network of `config`, started from `smaller`.

    Raises:
        RuntimeError: if the two differ in more than latent channels and blocks per level.
    """
    unet = networks.unet(config)
    weights, old = unet.state_dict(), smaller.state_dict()
    wide, narrow = int(unet.config["out_channels"]), int(smaller.config["out_channels"])
    for name in weights:
        source = _source(name, unet, smaller)
        if source is None:
            _silence(weights, name)
        elif name == "conv_in.weight":
            weights[name] = _first(weights[name], old[name].float(), wide, narrow)
        elif name.startswith("conv_out."):
            weights[name] = _last(weights[name], old[name].float())
        elif source not in old or old[source].shape != weights[name].shape:
            raise RuntimeError(f"{name}: the smaller network has no such tensor of shape {tuple(weights[name].shape)}")
        else:
            weights[name] = old[source].float()
    unet.load_state_dict(weights)
    return unet


def _source(name: str, unet: UNet2DConditionModel, smaller: UNet2DConditionModel) -> str | None:
    """The name in the smaller network of a tensor of the larger one; none for a new block.

    On its way down a level gets new blocks at its end. On its way up they follow its first block, which is where their
    outputs come back: so every old block gets the input that it had.
    """
    place = _BLOCK.match(name)
    if not place:
        return name
    way, level, kind, index = place[1], int(place[2]), place[3], int(place[4])
    if way == "down":
        return name if index < len(smaller.down_blocks[level].resnets) else None
    count = len(unet.up_blocks[level].resnets) - len(smaller.up_blocks[level].resnets)
    if 1 <= index <= count:
        return None
    return f"up_blocks.{level}.{kind}.{index - count if index else 0}.{name[place.end() :]}"


def _silence(weights: dict[str, Tensor], name: str) -> None:
    """Makes a new block pass on what it gets: its last layer gives 0, and its shortcut drops the skipped features."""
    if re.search(r"\.(conv2|proj_out)\.(weight|bias)$", name) or name.endswith("conv_shortcut.bias"):
        weights[name] = torch.zeros_like(weights[name])
    elif name.endswith("conv_shortcut.weight"):
        out, both = weights[name].shape[:2]
        weights[name] = torch.eye(out, both)[:, :, None, None]


def grown_transformer(config: Config, smaller: SD3Transformer2DModel) -> SD3Transformer2DModel:
    """The transformer of `config`, started from one for fewer latent channels.

    Raises:
        RuntimeError: if the two differ in more than latent channels.
    """
    transformer = networks.transformer(config)
    weights, old = transformer.state_dict(), smaller.state_dict()
    wide, narrow = int(transformer.config["out_channels"]), int(smaller.config["out_channels"])
    for name in weights:
        new, was = weights[name], old[name].float()
        if name == "pos_embed.proj.weight":
            weights[name] = _first(new, was, wide, narrow)
        elif name.startswith("proj_out."):
            # A patch's rows and columns come before its channels.
            patches = _last(new.unflatten(0, (-1, wide)).movedim(1, 0), was.unflatten(0, (-1, narrow)).movedim(1, 0))
            weights[name] = patches.movedim(0, 1).flatten(0, 1)
        elif was.shape != new.shape:
            raise RuntimeError(f"{name}: the smaller network has no such tensor of shape {tuple(new.shape)}")
        else:
            weights[name] = was
    transformer.load_state_dict(weights)
    return transformer


def _first(new: Tensor, old: Tensor, wide: int, narrow: int) -> Tensor:
    """Weights [width, channels, ...] that read sample, mask and masked latents: the colours' and the mask's stay."""
    if new.shape == old.shape:
        return old
    start = torch.randn(new.shape) * SMALL
    for there, here, count in ((0, 0, COLOURS), (wide, narrow, 1), (wide + 1, narrow + 1, COLOURS)):
        start[:, there : there + count] = old[:, here : here + count]
    return start


def _last(new: Tensor, old: Tensor) -> Tensor:
    """Weights or biases [channels, ...] that write the prediction: the colours' stay, new biases are 0."""
    if new.shape == old.shape:
        return old
    start = torch.randn(new.shape) * (SMALL if new.ndim > 2 else 0.0)
    start[:COLOURS] = old[:COLOURS]
    return start

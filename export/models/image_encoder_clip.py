"""`image_encoder_clip`: a style picture to CLIP's image embedding."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import CLIPVisionModelWithProjection

from export.contract import Size, TensorSpec
from export.layout import KINDS, Source
from export.models import vae
from export.models.component import Component, ComponentModule, Inputs, rand
from export.models.loading import load_transformers
from export.networks.image_pixels import clip_pixels, normalised
from export.preprocess import ClipPreprocess

ClipVision = Any
"""transformers' CLIPVisionModelWithProjection; untyped because its attributes are torch modules found by name."""


class ImageEncoderClip(nn.Module):
    """`image` [B, 3, H, W] in −1…1 → `image_embeds` [B, P], L2-normalised unless a published IP-Adapter reads them.

    `preprocess`: mean and deviation of pictures that come at the size that the model reads; None to resize any size.
    """

    def __init__(self, model: ClipVision, preprocess: ClipPreprocess | None) -> None:
        super().__init__()
        self.model = model
        self.unnormalised = bool(getattr(model.config, "unnormalised", False))
        self.size = int(model.config.image_size)
        self.preprocess = preprocess

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        vision, own = self.model.vision_model, self.preprocess
        read = clip_pixels(image, self.size) if own is None else normalised(image, own.mean, own.std)
        states = vision.pre_layrnorm(vision.embeddings(read))
        # Called one by one, as the text encoders' layers are: the model's own loop has hooks that do not trace.
        for layer in vision.encoder.layers:
            states = layer(states, None)
        pooled = vision.post_layernorm(states[:, 0])
        embeds: torch.Tensor = self.model.visual_projection(pooled)
        return embeds if self.unnormalised else nn.functional.normalize(embeds, dim=-1)


def load(source: Source) -> nn.Module:
    """Loads the model from its folder, in evaluation mode."""
    model: ClipVision = load_transformers(CLIPVisionModelWithProjection, source)
    # How long embeddings are and who resizes pictures is the pipeline's affair; the wrapper asks the model.
    model.config.unnormalised = source.unnormalised
    model.preprocess = source.preprocess
    module: nn.Module = model
    return module


def prepare(model: ClipVision) -> ComponentModule:
    """Wraps a CLIPVisionModelWithProjection for export."""
    preprocess: ClipPreprocess | None = getattr(model, "preprocess", None)
    square = None if preprocess is None else (preprocess.crop, preprocess.crop)

    def sample(rows: int, size: Size, generator: torch.Generator) -> Inputs:
        # Pictures of noise, in −1…1.
        return (rand(generator, rows, 3, *(square or (size.height, size.width))),)

    return ComponentModule(
        name="image_encoder_clip",
        module=ImageEncoderClip(model, preprocess).eval(),
        inputs=(TensorSpec("image", "FP32", (3, *(square or vae.pixels()))),),
        outputs=(TensorSpec("image_embeds", "FP32", (model.config.projection_dim,)),),
        sample=sample,
    )


COMPONENT = Component(KINDS["image_encoder_clip"], load, prepare)

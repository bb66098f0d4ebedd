"""Style: pictures to the image tokens that the denoiser attends to; embeddings are cached by a picture's pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from backdrop.contract.parts import StylePicture
from orchestrator.arrays import Bytes, Floats
from orchestrator.cache.lookups import RequestLookups
from orchestrator.concurrency import gather
from orchestrator.stages.models import Models

# The projector's input, the encoder's role, and which of its outputs is the embedding.
_ENCODERS = {"uve": ("image_encoder_uve", "embedding"), "clip": ("image_encoder_clip", "image_embeds")}
_NO_DIRECTION = 1e-6


async def encode_style(style: Sequence[StylePicture], models: Models, lookups: RequestLookups) -> Floats:
    """Returns the image tokens [N, D] of style pictures."""
    # A published IP-Adapter's projector reads CLIP alone.
    names = [name for name, (role, _) in _ENCODERS.items() if role in models.pipeline.models]
    embeddings = await gather(*(_embed(*_ENCODERS[name], style, models, lookups) for name in names))
    outputs = await models.one("image_projector", **dict(zip(names, embeddings, strict=True)))
    tokens: Floats = outputs["image_tokens"]
    return tokens


async def tokens_of_nothing(models: Models, lookups: RequestLookups) -> Floats:
    """The image tokens [N, D] of an embedding of zeros, which diffusers' IP-Adapter gives the unconditional row."""

    async def project() -> dict[str, npt.NDArray[Any]]:
        inputs = models.pipeline.models["image_projector"].inputs
        zeros = {tensor.name: np.zeros(tensor.shape, np.float32) for tensor in inputs}
        return await models.one("image_projector", **zeros)

    outputs = await lookups.arrays("style-of-nothing", models.fingerprint("image_projector"), {}, project)
    tokens: Floats = outputs["image_tokens"]
    return tokens


async def _embed(
    role: str, output: str, pictures: Sequence[StylePicture], models: Models, lookups: RequestLookups
) -> Floats:
    async def one(picture: StylePicture) -> Floats:
        outputs = await lookups.arrays(
            "style",
            models.fingerprint(role),
            {"pixels": picture.pixels},
            lambda: models.one(role, image=to_model(picture.pixels)),
        )
        embedding: Floats = outputs[output]
        return embedding

    embeddings = await gather(*(one(picture) for picture in pictures))
    return mean_direction(embeddings, [picture.weight for picture in pictures])


def mean_direction(embeddings: Sequence[Floats], weights: Sequence[float]) -> Floats:
    """The weighted mean of embeddings [D], scaled to the weighted mean of their L2 norms: float32 [D].

    The mean of different embeddings has a smaller norm than they have, and the projector was not trained on such norms.
    So the mean of embeddings of norm 1 is scaled to norm 1. If embeddings cancel out, their mean is returned unscaled.
    """
    stacked = np.stack(embeddings).astype(np.float64)
    mean = np.average(stacked, axis=0, weights=weights)
    norm = np.sqrt(np.square(mean).sum())
    target = np.average(np.sqrt(np.square(stacked).sum(axis=1)), weights=weights)
    direction: Floats = (mean * (target / norm) if norm > _NO_DIRECTION else mean).astype(np.float32)
    return direction


def to_model(pixels: Bytes) -> Floats:
    """[S, S, 3] in 0…255 to float32 [3, S, S] in −1…1."""
    return np.ascontiguousarray(pixels.transpose(2, 0, 1).astype(np.float32) / 127.5 - 1.0)

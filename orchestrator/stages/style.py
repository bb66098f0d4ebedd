"""Style: pictures to the image tokens that the denoiser attends to, each picture's embeddings cached by its pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from orchestrator.cache.lookups import RequestLookups
from orchestrator.concurrency import gather
from orchestrator.domain import Floats, Job, StylePicture
from orchestrator.imaging.style import to_model
from orchestrator.stages.models import Models

# The projector's input, the encoder's role, and which of its outputs is the embedding.
_ENCODERS = {"uve": ("image_encoder_uve", "embedding"), "clip": ("image_encoder_clip", "image_embeds")}
_NO_DIRECTION = 1e-6


async def encode_style(job: Job, models: Models, lookups: RequestLookups) -> Floats | None:
    """Returns the image tokens [N, D] of the job's style pictures, None when it has none."""
    if not job.style:
        return None
    # A published IP-Adapter's projector reads CLIP alone.
    names = [name for name, (role, _) in _ENCODERS.items() if role in models.pipeline.models]
    embeddings = await gather(*(_embed(*_ENCODERS[name], job.style, models, lookups) for name in names))
    outputs = await models.one("image_projector", **dict(zip(names, embeddings, strict=True)))
    tokens: Floats = outputs["image_tokens"]
    return tokens


async def _embed(
    role: str, output: str, pictures: Sequence[StylePicture], models: Models, lookups: RequestLookups
) -> Floats:
    async def one(picture: StylePicture) -> Floats:
        found = await lookups.arrays(
            "style",
            models.fingerprint(role),
            {"pixels": picture.pixels},
            lambda: models.one(role, image=to_model(picture.pixels)),
        )
        embedding: Floats = found[output]
        return embedding

    embeddings = await gather(*(one(picture) for picture in pictures))
    return mean_direction(embeddings, [picture.weight for picture in pictures])


def mean_direction(embeddings: Sequence[Floats], weights: Sequence[float]) -> Floats:
    """The weighted mean of embeddings [D], as long as they are in the (weighted) mean: float32 [D].

    A mean is shorter than what it is the mean of, and the projector knows no such length: embeddings of length 1 have a
    mean of length 1. Pictures that cancel out exactly have no mean direction; their mean is left as short as it is.
    """
    stacked = np.stack(embeddings).astype(np.float64)
    mean = np.average(stacked, axis=0, weights=weights)
    length = np.sqrt(np.square(mean).sum())
    wanted = np.average(np.sqrt(np.square(stacked).sum(axis=1)), weights=weights)
    direction: Floats = (mean * (wanted / length) if length > _NO_DIRECTION else mean).astype(np.float32)
    return direction

"""Style: pictures to the image tokens that the denoiser attends to, each picture's embeddings cached by its pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from orchestrator.concurrency import gather
from orchestrator.domain import Floats, Job, StylePicture
from orchestrator.imaging.style import to_model
from orchestrator.lookups import RequestLookups
from orchestrator.models import Models

# Encoder's role, and which of its outputs is the embedding.
_ENCODERS = {"image_encoder_uve": "embedding", "image_encoder_clip": "image_embeds"}
_NO_DIRECTION = 1e-6


async def encode_style(job: Job, models: Models, lookups: RequestLookups) -> Floats | None:
    """Returns the image tokens [N, D] of the job's style pictures, None when it has none."""
    if not job.style:
        return None
    uve, clip = await gather(*(_embed(role, job.style, models, lookups) for role in _ENCODERS))
    outputs = await models.one("image_projector", uve=uve, clip=clip)
    tokens: Floats = outputs["image_tokens"]
    return tokens


async def _embed(role: str, pictures: Sequence[StylePicture], models: Models, lookups: RequestLookups) -> Floats:
    async def one(picture: StylePicture) -> Floats:
        found = await lookups.arrays(
            "style",
            models.fingerprint(role),
            {"pixels": picture.pixels},
            lambda: models.one(role, image=to_model(picture.pixels)),
        )
        embedding: Floats = found[_ENCODERS[role]]
        return embedding

    embeddings = await gather(*(one(picture) for picture in pictures))
    return mean_direction(embeddings, [picture.weight for picture in pictures])


def mean_direction(embeddings: Sequence[Floats], weights: Sequence[float]) -> Floats:
    """The weighted mean of normalised embeddings [D], normalised again: float32 [D].

    Pictures that cancel out exactly have no mean direction; their mean is then left as short as it is.
    """
    mean = np.average(np.stack(embeddings).astype(np.float64), axis=0, weights=weights)
    length = np.sqrt(np.square(mean).sum())
    direction: Floats = (mean / length if length > _NO_DIRECTION else mean).astype(np.float32)
    return direction

"""Optimisation profiles: the shapes that an engine is built for, from the size buckets and the batch cap."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from export.contract import Axis, Contract, TensorSpec
from export.plan import Model
from export.source import PipelineFolder

Range = dict[str, list[int]]
"""`min`, `opt` and `max` shapes of one input, batch first."""
Profile = dict[str, Range]
"""By the input's name. Inputs without any size that varies but the batch are in it too."""


def profiles_of(model: Model, contract: Contract) -> tuple[Profile, ...]:
    """One profile to a size bucket, or a single one where pictures are not among the inputs.

    TensorRT tunes a profile for its `opt` shape, and Triton takes the profile that is nearest to a request, so every
    bucket gets one. The opt batch is the cap: guided rows of a few variants fill it, and smaller batches are cheap.
    Each pipeline pads its prompts to one length, so the token axis ranges over the pipelines' lengths alone.
    """
    tokens = sorted({length for folder in model.pipelines for length in prompts(model, folder)})
    profiles: list[Profile] = []
    for height, width in buckets(model):
        profile = {
            spec.name: {
                "min": [1, *shape(spec, height, width, tokens[0])],
                "opt": [contract.max_batch_size, *shape(spec, height, width, tokens[-1])],
                "max": [contract.max_batch_size, *shape(spec, height, width, tokens[-1])],
            }
            for spec in contract.inputs
        }
        if profile not in profiles:
            profiles.append(profile)
    return tuple(profiles)


def prompts(model: Model, folder: PipelineFolder) -> Iterable[int]:
    """How many tokens a pipeline gives one of its models."""
    if model.role == "text_encoder_t5":
        return (folder.text["t5_max_tokens"],)
    if model.role == "denoiser" and "t5_max_tokens" in folder.text:
        # Where the denoiser reads CLIP's states too, they stand before T5's in the sequence.
        clip = any(role != "text_encoder_t5" for role in folder.states)
        return (folder.text["t5_max_tokens"] + (folder.text["max_tokens"] if clip else 0),)
    return (folder.text["max_tokens"],)


def buckets(model: Model) -> list[tuple[int, int]]:
    """Every size (height, width) in pixels that some pipeline of the model has."""
    sizes = ((height, width) for folder in model.pipelines for height, width in folder.settings["buckets"])
    return list(dict.fromkeys(sizes))


def shape(spec: TensorSpec, height: int, width: int, tokens: int) -> list[int]:
    """An input's shape for a picture of this size and a prompt of this length, without the batch."""
    # An axis counts units of 32 pixels, and says how many of its elements make one.
    sides = {"height": height // 32, "width": width // 32, "tokens": tokens}
    return [size.multiple * sides[size.name] if isinstance(size, Axis) else size for size in spec.shape]


def shape_key(profiles: Sequence[Mapping[str, Any]]) -> str:
    """Profiles as a part of a path: the batch cap, and a digest of all the rest."""
    cap = max((ranges["max"][0] for profile in profiles for ranges in profile.values()), default=0)
    digest = hashlib.sha256(json.dumps(list(profiles), sort_keys=True).encode()).hexdigest()
    return f"b{cap}-{digest[:8]}"

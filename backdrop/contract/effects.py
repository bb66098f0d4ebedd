"""Fields that a valid request sets and that have no effect on it: one table, read into warnings."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from backdrop.contract.parts import Parts
from backdrop.contract.request_warnings import RequestWarning, WarningReason, warning
from backdrop.contract.rules import is_set
from backdrop.v1 import generation_service_pb2 as pb


@dataclasses.dataclass(frozen=True)
class Effect:
    """When a field of a request has no effect."""

    field: str
    """Its path in GenerateRequest."""
    idle: Callable[[pb.GenerateRequest, Parts], bool]
    """Whether it has no effect, if it is set."""
    why: str
    """The rest of a sentence that begins with the field."""


EFFECTS = (
    Effect(
        "conditioning.negative_prompt",
        lambda request, parts: not parts.sampling.guided,
        "has no effect while guidance is off; set sampling.guidance_scale above 1",
    ),
    Effect(
        "sampling.guidance_window",
        lambda request, parts: not parts.sampling.guided,
        "has no effect while guidance is off; set sampling.guidance_scale above 1",
    ),
    Effect(
        "conditioning.image_scale",
        lambda request, parts: not request.conditioning.style_images,
        "has no effect without style pictures; set conditioning.style_images",
    ),
    Effect(
        "background.scene_strength",
        lambda request, parts: not request.background.scene,
        "has no effect without a picture of the place; set background.scene",
    ),
    Effect(
        "background.harmonise",
        lambda request, parts: not request.background.soft,
        "has no effect on a hard border; set background.soft",
    ),
    Effect(
        "conditioning.palette",
        lambda request, parts: bool(request.background.scene) and parts.sampling.strength == 0,
        "has no effect at background.scene_strength 0, where the scene stays as it is",
    ),
    Effect(
        "conditioning.style_images",
        lambda request, parts: parts.conditioning.image_scale == 0.0,
        "have no effect at conditioning.image_scale 0; set it above 0",
    ),
    Effect(
        "selection.early_dropping",
        lambda request, parts: not parts.selection.dropping,
        "drops no variant; keep fewer than selection.variants, and take more than one step",
    ),
    Effect(
        "delivery.preview_every",
        lambda request, parts: parts.delivery.preview_every > parts.sampling.steps,
        "is more than sampling.steps, so no step has a preview",
    ),
)
"""One row for each field that can be idle; docs/inputs.md lists them."""


def idle_fields(request: pb.GenerateRequest, parts: Parts) -> tuple[RequestWarning, ...]:
    """A warning for each field that `request` sets and that has no effect; `parts` are the request's, with defaults."""
    return tuple(
        warning(WarningReason.NO_EFFECT, effect.field, effect.why)
        for effect in EFFECTS
        if is_set(request, effect.field) and effect.idle(request, parts)
    )

"""Which fields of a request each task takes: one table, which refusals, InfoService, CLI and docs read."""

from __future__ import annotations

import dataclasses
import math

from google.protobuf.message import Message

from backdrop.errors import Reason, error
from backdrop.v1 import generation_service_pb2 as pb


@dataclasses.dataclass(frozen=True)
class TaskRules:
    """What a task takes. Fields are named by their paths in GenerateRequest."""

    name: str
    """The field of the oneof `GenerateRequest.task`."""
    description: str
    """One sentence on what it makes."""
    required: tuple[str, ...] = ()
    """Fields that must be set; "a|b" = at least one of the two."""
    refused: tuple[str, ...] = ()
    """Fields that it does not take."""
    strength: str = ""
    """The field that says where the noise starts; "" = always pure noise."""
    start: str = ""
    """The optional field with the picture that noise starts from; "" = the task's own picture."""
    picture_guides: bool = False
    """Whether guidance also strengthens its picture, of which unconditional rows know nothing then."""
    most_guidance: float = math.inf
    """The most that guidance is by default."""
    sampled: bool = True
    """Whether a denoiser makes its pixels; if not, the task computes its one picture, which has no scores."""


_PROMPTED = (
    "conditioning.prompt",
    "conditioning.negative_prompt",
    "conditioning.style_images",
    "conditioning.image_scale",
    "conditioning.palette",
    "sampling.guidance_scale",
    "sampling.guidance_window",
)
_SAMPLED = (
    *_PROMPTED,
    "conditioning.adapters",
    "sampling.seed",
    "sampling.scheduler",
    "sampling.steps",
    "selection.variants",
    "selection.top_k",
    "selection.early_dropping",
    "delivery.preview_every",
)

TASKS = {
    rules.name: rules
    for rules in (
        TaskRules(
            "background",
            "Puts a product photo, or several, into a new scene.",
            required=("background.product",),
            strength="background.scene_strength",
            start="background.scene",
        ),
        TaskRules(
            "text_to_image",
            "Makes a whole picture from a prompt, or from style pictures.",
            required=("conditioning.prompt|conditioning.style_images",),
        ),
        TaskRules(
            "erase",
            "Removes what a mask marks from a picture, and fills the hole from its surroundings.",
            required=("erase.picture", "erase.mask"),
            refused=(*_PROMPTED, "delivery.size"),
        ),
        TaskRules(
            "fill",
            "Makes what a prompt says inside a mask, and keeps the rest of the picture.",
            required=("fill.picture", "fill.mask", "conditioning.prompt|conditioning.style_images"),
            refused=("conditioning.palette", "delivery.size"),
        ),
        TaskRules(
            "vary",
            "Makes a picture again, near to it or far from it.",
            required=("vary.picture",),
            refused=("delivery.size",),
            strength="vary.strength",
        ),
        TaskRules(
            "expand",
            "Continues a picture on its sides, and keeps all of it.",
            required=("expand.picture",),
            # New colours beside the picture's own would show where it ends.
            refused=("conditioning.palette",),
            picture_guides=True,
            # More makes colours hard, and the new part less like the picture.
            most_guidance=2.0,
        ),
        TaskRules(
            "shadow",
            "Lays a shadow under a product on any scene.",
            required=("shadow.picture",),
            refused=(*_SAMPLED, "delivery.size"),
            sampled=False,
        ),
        TaskRules(
            "upscale",
            "Makes a picture two or four times as large, its alpha channel too.",
            required=("upscale.picture",),
            refused=(*_SAMPLED, "delivery.size"),
            sampled=False,
        ),
        TaskRules(
            "relight",
            "Fits a product into its scene: its border, and perhaps its light, take on the scene's colours.",
            required=("relight.picture",),
            refused=(*_SAMPLED, "delivery.size"),
            sampled=False,
        ),
    )
}


def read_task(request: pb.GenerateRequest) -> TaskRules:
    """The rules of the task that a request names; the request's fields are checked against them.

    Raises:
        InvalidRequestError: the request names no task, lacks a field that the task needs, or sets one that the task
            does not take.
    """
    name = request.WhichOneof("task")
    if name is None:
        message = f"the request names no task; set one of {', '.join(TASKS)}."
        raise error(Reason.MISSING_FIELD, message, field="task")
    rules = TASKS[name]
    for path in rules.refused:
        if is_set(request, path):
            message = f"{path} is not a field that {name} takes; leave it out."
            raise error(Reason.FIELD_NOT_TAKEN, message, field=path)
    for paths in rules.required:
        choices = paths.split("|")
        if not any(is_set(request, path) for path in choices):
            message = f"{name} needs {' or '.join(choices)}; set it."
            raise error(Reason.MISSING_FIELD, message, field=choices[0])
    return rules


def maps_changes(request: pb.GenerateRequest) -> bool:
    """Whether the receipts of a request hold a map of what changed: a grey picture of the result's size."""
    return request.HasField("relight") or request.background.soft > 0


def is_set(request: pb.GenerateRequest, path: str) -> bool:
    """Whether the field at `path` ("sampling.steps") was set; a field without presence is set if it is not empty."""
    *parents, name = path.split(".")
    message: Message = request
    for parent in parents:
        if not message.HasField(parent):
            return False
        message = getattr(message, parent)
    if message.DESCRIPTOR.fields_by_name[name].has_presence:
        return message.HasField(name)
    return bool(getattr(message, name))

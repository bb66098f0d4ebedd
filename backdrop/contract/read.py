"""GenerateRequest to parts: every check that needs neither a picture nor a model, each refusal with field and fix."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable

from backdrop.contract.geometry import Size
from backdrop.contract.limits import (
    DEFAULT_STRENGTH,
    MAX_GUIDANCE,
    MAX_IMAGE_SCALE,
    MAX_KEY_CHARACTERS,
    MAX_LCM_STEPS,
    MAX_PREVIEW_EVERY,
    MAX_SEED,
    MAX_SIDE,
    MAX_STYLE_WEIGHT,
    MIN_SIDE,
)
from backdrop.contract.metadata import VALID_IDEMPOTENCY_KEY
from backdrop.contract.numbers import within
from backdrop.contract.palette import read_palette
from backdrop.contract.parts import Conditioning, Delivery, Parts, Priority, Sampling, Selection, Window
from backdrop.contract.read_adapters import read_adapters
from backdrop.contract.read_dropping import read_dropping
from backdrop.contract.rules import TaskRules, is_set
from backdrop.contract.vocabulary import FORMATS, SCHEDULERS
from backdrop.errors import Reason, error
from backdrop.v1 import generation_service_pb2 as pb
from backdrop.v1 import info_service_pb2 as info_pb

CountTokens = Callable[[str], int]
"""Tokens of a prompt as the pipeline's encoders count them, start and end tokens included."""
_GUIDING = ("prompt", "negative_prompt", "style_images")
"""Fields of the conditioning that the rows of a guided step differ by."""


def check_idempotency_key(key: str) -> None:
    """Raises InvalidRequestError when `key` is too long or not printable ASCII."""
    if not VALID_IDEMPOTENCY_KEY.fullmatch(key):
        message = f"idempotency_key must be at most {MAX_KEY_CHARACTERS} printable ASCII characters."
        raise error(Reason.OUT_OF_RANGE, message, field="idempotency_key")


def read_pipeline(request: pb.GenerateRequest, rules: TaskRules, info: info_pb.GetInfoResponse) -> info_pb.Pipeline:
    """The pipeline that a request runs on.

    Raises:
        NotFoundError: the server has no pipeline of that name.
        InvalidRequestError: the pipeline does not serve the task.
    """
    name = request.sampling.pipeline or info.default_pipeline
    pipeline = next((each for each in info.pipelines if each.name == name), None)
    if pipeline is None:
        names = ", ".join(sorted(each.name for each in info.pipelines))
        message = f"sampling.pipeline is not served here; this server has {names}."
        raise error(Reason.UNKNOWN_PIPELINE, message, field="sampling.pipeline")
    if rules.name not in pipeline.tasks:
        names = ", ".join(sorted(each.name for each in info.pipelines if rules.name in each.tasks)) or "none"
        message = f"pipeline {pipeline.name} does not serve {rules.name}; on this server these do: {names}."
        raise error(Reason.TASK_NOT_SERVED, message, field=rules.name)
    return pipeline


def read_parts(
    request: pb.GenerateRequest,
    rules: TaskRules,
    pipeline: info_pb.Pipeline,
    info: info_pb.GetInfoResponse,
    count_tokens: CountTokens,
) -> Parts:
    """The parts of a request, with every default filled in; style pictures are checked but not decoded.

    Raises:
        InvalidRequestError: a field is wrong; the error names it.
        NotFoundError: the pipeline has no adapter of that name.
    """
    sampling = _sampling(request, rules, pipeline, info)
    return Parts(
        conditioning=_conditioning(request.conditioning, pipeline, info, count_tokens),
        sampling=sampling,
        selection=_selection(request.selection, pipeline, info, sampling.steps),
        delivery=_delivery(request.delivery, info.limits),
        priority=_priority(request),
    )


def _range(field: str, value: int, least: int, most: int) -> int:
    if not least <= value <= most:
        raise error(Reason.OUT_OF_RANGE, f"{field} is {value}; it must be {least} to {most}.", field=field)
    return value


def _sampling(
    request: pb.GenerateRequest, rules: TaskRules, pipeline: info_pb.Pipeline, info: info_pb.GetInfoResponse
) -> Sampling:
    sampling = request.sampling
    if not rules.sampled:
        return Sampling(pipeline.name, 0, SCHEDULERS[pipeline.default_scheduler], steps=0, guidance_scale=1.0)
    steps = sampling.steps if sampling.HasField("steps") else pipeline.default_steps
    seed = sampling.seed if sampling.HasField("seed") else secrets.randbelow(MAX_SEED + 1)
    return Sampling(
        pipeline=pipeline.name,
        seed=_range("sampling.seed", seed, 0, MAX_SEED),
        scheduler=_scheduler(sampling, pipeline, _range("sampling.steps", steps, 1, info.limits.max_steps)),
        steps=steps,
        guidance_scale=_guidance(request, rules, pipeline),
        guidance_window=_window(sampling),
        strength=_strength(request, rules),
    )


def _scheduler(sampling: pb.Sampling, pipeline: info_pb.Pipeline, steps: int) -> str:
    value = sampling.scheduler or pipeline.default_scheduler
    if value not in pipeline.schedulers:
        offered = ", ".join(SCHEDULERS[each] for each in pipeline.schedulers)
        message = f"sampling.scheduler is not offered by pipeline {pipeline.name}; it has {offered}."
        raise error(Reason.UNKNOWN_VALUE, message, field="sampling.scheduler")
    if value == pb.SCHEDULER_LCM:
        _range("sampling.steps", steps, 1, MAX_LCM_STEPS)
    return SCHEDULERS[value]


def _guidance(request: pb.GenerateRequest, rules: TaskRules, pipeline: info_pb.Pipeline) -> float:
    sampling = request.sampling
    if not sampling.HasField("guidance_scale"):
        # Where nothing guides, both rows of a guided step would be the same.
        guides = rules.picture_guides or any(is_set(request, f"conditioning.{field}") for field in _GUIDING)
        return min(pipeline.default_guidance_scale, rules.most_guidance) if guides else 1.0
    scale = sampling.guidance_scale
    if not (math.isfinite(scale) and 1.0 <= scale <= MAX_GUIDANCE):
        message = f"sampling.guidance_scale must be a number from 1.0 (off) to {MAX_GUIDANCE}."
        raise error(Reason.OUT_OF_RANGE, message, field="sampling.guidance_scale")
    return scale


def _strength(request: pb.GenerateRequest, rules: TaskRules) -> float:
    if not rules.strength or (rules.start and not is_set(request, rules.start)):
        return 1.0
    task, _, field = rules.strength.partition(".")
    message = getattr(request, task)
    strength: float = getattr(message, field) if message.HasField(field) else DEFAULT_STRENGTH
    if not (math.isfinite(strength) and 0.0 <= strength <= 1.0):
        text = f"{rules.strength} must be a number from 0.0 (the picture) to 1.0 (the picture has no influence)."
        raise error(Reason.OUT_OF_RANGE, text, field=rules.strength)
    return round(strength, 6)  # 32 bits on the wire: without rounding, 0.6 of 5 steps would be 3.0000001


def _window(sampling: pb.Sampling) -> Window:
    if not sampling.HasField("guidance_window"):
        return Window()
    start, stop = sampling.guidance_window.start, sampling.guidance_window.stop
    if not (math.isfinite(start) and 0.0 <= start < 1.0):
        message = "sampling.guidance_window.start must be a number from 0.0 to below 1.0."
        raise error(Reason.OUT_OF_RANGE, message, field="sampling.guidance_window.start")
    if not (math.isfinite(stop) and start < stop <= 1.0):
        message = f"sampling.guidance_window.stop must be a number above start ({start:g}) and at most 1.0."
        raise error(Reason.OUT_OF_RANGE, message, field="sampling.guidance_window.stop")
    return Window(start, stop)


def _conditioning(
    conditioning: pb.Conditioning, pipeline: info_pb.Pipeline, info: info_pb.GetInfoResponse, count_tokens: CountTokens
) -> Conditioning:
    image_scale = _image_scale(conditioning, pipeline, info)
    for name in ("prompt", "negative_prompt"):
        _check_prompt(f"conditioning.{name}", getattr(conditioning, name), pipeline.max_prompt_tokens, count_tokens)
    return Conditioning(
        conditioning.prompt,
        conditioning.negative_prompt,
        image_scale=image_scale,
        adapters=read_adapters(conditioning.adapters, pipeline, info),
        palette=read_palette(conditioning.palette),
    )


def _check_prompt(field: str, text: str, most: int, count_tokens: CountTokens) -> None:
    if "\0" in text:
        raise error(Reason.INVALID_PROMPT, f"{field} holds a NUL character; remove it.", field=field)
    # Tokens of real text have at most a few dozen characters: a text of a megabyte is refused without tokenizing it.
    count = count_tokens(text) if len(text) <= 100 * most else len(text) // 4
    if count > most:
        message = f"{field} has {count} tokens; this pipeline reads {most}, start and end included. Shorten it."
        raise error(Reason.PROMPT_TOO_LONG, message, field=field)


def _image_scale(conditioning: pb.Conditioning, pipeline: info_pb.Pipeline, info: info_pb.GetInfoResponse) -> float:
    """The image-token scale; 0 without style pictures, whose number and weights are checked here."""
    style, field = conditioning.style_images, "conditioning.style_images"
    scale = conditioning.image_scale if conditioning.HasField("image_scale") else pipeline.default_image_scale
    within("conditioning.image_scale", scale, 0.0, MAX_IMAGE_SCALE)
    if not style:
        return 0.0
    if not pipeline.takes_style_images:
        others = ", ".join(sorted(each.name for each in info.pipelines if each.takes_style_images)) or "none"
        message = f"{field}: pipeline {pipeline.name} takes no style pictures; on this server these do: {others}."
        raise error(Reason.STYLE_NOT_TAKEN, message, field=field)
    if len(style) > info.limits.max_style_images:
        message = f"{field} holds {len(style)} pictures; at most {info.limits.max_style_images} are taken."
        raise error(Reason.OUT_OF_RANGE, message, field=field)
    for index, picture in enumerate(style):
        if picture.HasField("weight") and not 0.0 < picture.weight <= MAX_STYLE_WEIGHT:  # not a number fails this too
            path = f"{field}[{index}].weight"
            message = f"{path} must be a number above 0.0, at most {MAX_STYLE_WEIGHT}."
            raise error(Reason.OUT_OF_RANGE, message, field=path)
    return scale


def _selection(
    selection: pb.Selection, pipeline: info_pb.Pipeline, info: info_pb.GetInfoResponse, steps: int
) -> Selection:
    variants = _range("selection.variants", selection.variants or 1, 1, info.limits.max_variants)
    top_k = _range("selection.top_k", selection.top_k or variants, 1, variants)
    if not pipeline.reward_heads:
        chooses = {"selection.top_k": top_k < variants, "selection.early_dropping": bool(selection.early_dropping)}
        for field in (name for name, is_set in chooses.items() if is_set):
            others = ", ".join(sorted(each.name for each in info.pipelines if each.reward_heads)) or "none"
            message = (
                f"{field} chooses by scores, and pipeline {pipeline.name} has no reward model; leave it out. "
                f"Pipelines of this server that score: {others}."
            )
            raise error(Reason.NOT_SCORED, message, field=field)
    return Selection(variants, top_k, read_dropping(selection, variants, top_k, steps))


def _delivery(delivery: pb.Delivery, limits: info_pb.Limits) -> Delivery:
    _range("delivery.preview_every", delivery.preview_every, 0, MAX_PREVIEW_EVERY)
    output_format = FORMATS.get(delivery.format)
    if output_format is None:
        raise error(Reason.UNKNOWN_VALUE, "delivery.format is not one that this server knows.", field="delivery.format")
    size = read_size("delivery.size", delivery.size, limits) if delivery.HasField("size") else None
    return Delivery(size, output_format, delivery.preview_every)


def read_size(field: str, message: pb.Size, limits: info_pb.Limits) -> Size:
    """A size that pictures may be delivered at.

    Raises:
        InvalidRequestError: a side is out of range, or it is too large.
    """
    size = Size(message.width, message.height)
    for side in ("width", "height"):
        if not MIN_SIDE <= getattr(size, side) <= MAX_SIDE:
            text = f"{field}.{side} is {getattr(size, side)}; it must be {MIN_SIDE} to {MAX_SIDE} pixels."
            raise error(Reason.INVALID_SIZE, text, field=f"{field}.{side}")
    if size.pixels > limits.max_pixels:
        text = f"{field} is more than {limits.max_pixels / 1e6:g} megapixels."
        raise error(Reason.INVALID_SIZE, text, field=field)
    return size


def _priority(request: pb.GenerateRequest) -> Priority:
    if request.priority == pb.PRIORITY_UNSPECIFIED:
        return Priority.STANDARD
    try:
        return Priority(request.priority)
    except ValueError:
        message = "priority is not one that this server knows: interactive, standard or bulk."
        raise error(Reason.UNKNOWN_VALUE, message, field="priority") from None

"""From a request to what the fake will make: every check that the contract demands, and every default."""

from __future__ import annotations

import dataclasses
import math
import re
import secrets

import numpy as np

from backdrop._fake import pictures
from backdrop._fake.order import check_dropping, check_priority, check_window
from backdrop._fake.pictures import Canvas, Rect
from backdrop._fake.style import check_scale, style_digests
from backdrop.errors import BackdropError, Reason, error
from backdrop.v1 import generation_service_pb2 as pb
from backdrop.v1 import info_service_pb2 as info_pb

_FORMATS = {pb.OUTPUT_FORMAT_PNG: "PNG", pb.OUTPUT_FORMAT_JPEG: "JPEG", pb.OUTPUT_FORMAT_WEBP: "WEBP"}
_ALIGNMENT = (0.5, 0.0, 0.5, 1.0)  # by the enums' numbers: unspecified, left or top, center, right or bottom
_MAX_SEED = 2**63 - 1
_MAX_LCM_STEPS = 50


@dataclasses.dataclass(frozen=True)
class Plan:
    """A valid request, with every default filled in and the product on its canvas."""

    settings: pb.EffectiveSettings
    pipeline: str
    canvas: Canvas
    mask_source: pb.MaskSource
    recipe: str
    """What the scenes depend on, but for the seed."""
    pillow_format: str
    preview_every: int

    @property
    def row_steps(self) -> int:
        """Rows × steps over all variants; guidance makes it two rows a step."""
        rows = self._rows(self.settings.steps)
        drafts = self.settings.variants * sum(self._rows(self.draft_steps))
        return drafts + sum(self.left_at(step) * rows[step] for step in range(self.settings.steps))

    def _rows(self, steps: int) -> list[int]:
        settings, start, stop = self.settings, 0.0, 1.0
        if settings.guidance_scale <= 1.0:
            return [1] * steps
        if settings.HasField("guidance_window"):
            start, stop = settings.guidance_window.start, settings.guidance_window.stop
        return [2 if start <= step / steps < stop else 1 for step in range(steps)]

    @property
    def draft_steps(self) -> int:
        """Of the drafts that are judged before the first step; 0 = none."""
        return self.settings.early_dropping[0].draft_steps if self.settings.early_dropping else 0

    def left_at(self, step: int) -> int:
        """How many variants take the step, counted from 0; those that are given up take no more."""
        steps, left = self.settings.steps, self.settings.variants
        for each in self.settings.early_dropping:
            if each.draft_steps or step >= min(steps - 1, max(1, math.ceil(round(each.after * steps, 4)))):
                left = each.keep
        return left

    @property
    def saved_row_steps(self) -> int:
        """What the guidance window and early dropping save of them."""
        whole = self.settings.variants * self.settings.steps * (2 if self.settings.guidance_scale > 1.0 else 1)
        return max(0, whole - self.row_steps)  # drafts can cost more than they save


def make_plan(request: pb.GenerateRequest, info: info_pb.GetInfoResponse) -> Plan:
    """Checks everything that the contract says about `request`.

    Raises:
        InvalidRequestError: a field is wrong; the error names it.
        NotFoundError: there is no such pipeline.
    """
    pipeline = _pipeline(request, info)
    for field in ("prompt", "negative_prompt"):
        _check_prompt(getattr(request, field), field, pipeline.max_prompt_tokens)
    if not re.fullmatch(r"[ -~]{0,128}", request.idempotency_key):
        raise _out_of_range("idempotency_key", "0 to 128 printable ASCII characters")
    settings = _settings(request, pipeline, info.limits)
    settings.image_scale = check_scale(request, pipeline, info)
    photo = pictures.decode(request.product, "product")
    rgba = np.asarray(photo.convert("RGBA"))
    mask, source = _mask(request, rgba)
    size, box = _geometry(request, (photo.width, photo.height), pictures.bounding_box(mask))
    style = style_digests(request)
    canvas = pictures.place(rgba[..., :3], mask, size, box)
    settings.output_size.CopyFrom(pb.Size(width=size[0], height=size[1]))
    aspect = math.log(size[0] / size[1])
    scene = min(pipeline.scene_sizes, key=lambda scene: abs(math.log(scene.width / scene.height) - aspect))
    settings.scene_size.CopyFrom(scene)
    parts = [pipeline.name, request.prompt, settings.steps, settings.scheduler, settings.guidance_scale]
    if settings.guidance_scale > 1.0:
        parts.append(request.negative_prompt)
        if settings.HasField("guidance_window"):
            parts += [settings.guidance_window.start, settings.guidance_window.stop]
    if style and settings.image_scale > 0.0:
        parts += [settings.image_scale, style]
    return Plan(
        settings=settings,
        pipeline=pipeline.name,
        canvas=canvas,
        mask_source=source,
        recipe=repr(parts),
        pillow_format=_FORMATS[settings.output_format],
        preview_every=request.preview_every,
    )


def variant_seed(seed: int, variant: int) -> int:
    """Returns the seed of a variant: the first keeps the request's, the others' are mixed from it (SplitMix64)."""
    if variant == 0:
        return seed
    return _mix(_mix(seed) + variant * 0x9E3779B97F4A7C15) & _MAX_SEED


def _mix(value: int) -> int:
    value &= 2**64 - 1
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 & 2**64 - 1
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB & 2**64 - 1
    return value ^ (value >> 31)


def _pipeline(request: pb.GenerateRequest, info: info_pb.GetInfoResponse) -> info_pb.Pipeline:
    name = request.pipeline or info.default_pipeline
    for pipeline in info.pipelines:
        if pipeline.name == name:
            return pipeline
    known = ", ".join(pipeline.name for pipeline in info.pipelines)
    raise error(Reason.UNKNOWN_PIPELINE, f"There is no such pipeline; this server has {known}.", field="pipeline")


def _check_prompt(text: str, field: str, max_tokens: int) -> None:
    if "\0" in text:
        raise error(Reason.INVALID_PROMPT, f"{field} holds a NUL character; remove it.", field=field)
    # No tokenizer here: about one token a word or sign, more for long words, and one each for start and end.
    tokens = 2 + sum(1 + len(word) // 10 for word in re.findall(r"\w+|[^\w\s]", text))
    if tokens > max_tokens:
        message = f"{field} has about {tokens} tokens; at most {max_tokens} are read. Shorten it."
        raise error(Reason.PROMPT_TOO_LONG, message, field=field)


def _settings(request: pb.GenerateRequest, pipeline: info_pb.Pipeline, limits: info_pb.Limits) -> pb.EffectiveSettings:
    variants = _whole(request.variants or 1, "variants", 1, limits.max_variants)
    steps = request.steps if request.HasField("steps") else pipeline.default_steps
    seed = request.seed if request.HasField("seed") else secrets.randbelow(2**63)
    _whole(request.preview_every, "preview_every", 0, 1000)
    scale = request.guidance_scale if request.HasField("guidance_scale") else pipeline.default_guidance_scale
    if not 1.0 <= scale <= 20.0:  # not a number fails this too
        raise _out_of_range("guidance_scale", "1.0 (off) to 20.0")
    scheduler = request.scheduler or pipeline.default_scheduler
    if scheduler not in pipeline.schedulers:
        raise _unknown("scheduler")
    if scheduler == pb.SCHEDULER_LCM and steps > _MAX_LCM_STEPS:
        raise _out_of_range("steps", f"at most {_MAX_LCM_STEPS} for lcm")
    output_format = request.output_format or pb.OUTPUT_FORMAT_PNG
    if output_format not in _FORMATS:
        raise _unknown("output_format")
    settings = pb.EffectiveSettings(
        variants=variants,
        top_k=_whole(request.top_k or variants, "top_k", 1, variants),
        seed=_whole(seed, "seed", 0, _MAX_SEED),
        steps=_whole(steps, "steps", 1, limits.max_steps),
        scheduler=scheduler,
        guidance_scale=scale,
        output_format=output_format,
        priority=check_priority(request),
    )
    window = check_window(request)
    if window is not None and scale > 1.0:
        settings.guidance_window.CopyFrom(window)
    settings.early_dropping.extend(check_dropping(request, settings))
    return settings


def _mask(request: pb.GenerateRequest, rgba: pictures.Bytes) -> tuple[pictures.Bytes, pb.MaskSource]:
    if request.mask:
        mask = np.asarray(pictures.decode(request.mask, "mask").convert("L"))
        if mask.shape != rgba.shape[:2]:
            raise error(Reason.INVALID_MASK, "mask must have exactly the photo's size.", field="mask")
        source, field = pb.MASK_SOURCE_REQUEST, "mask"
    elif (rgba[..., 3] == 255).all():
        return pictures.segment(rgba[..., :3]), pb.MASK_SOURCE_SEGMENTER
    else:
        mask, source, field = rgba[..., 3], pb.MASK_SOURCE_ALPHA, "product"
    if not mask.any():
        raise error(Reason.INVALID_MASK, f"{field}: the mask is empty; mark the product with 255.", field=field)
    stays = not request.HasField("output_size") and not request.HasField("placement")
    if stays and (mask == 255).all():
        message = f"{field}: the mask covers the whole photo, which leaves no room for a scene."
        raise error(Reason.INVALID_MASK, message, field=field)
    return mask, source


def _geometry(request: pb.GenerateRequest, photo_size: tuple[int, int], cutout: Rect) -> tuple[tuple[int, int], Rect]:
    """Returns the output size and the product's rectangle in it."""
    size = photo_size
    if request.HasField("output_size"):
        size = (request.output_size.width, request.output_size.height)
        for side, pixels in zip(("width", "height"), size, strict=True):
            if not 64 <= pixels <= 4096:
                raise _bad(Reason.INVALID_SIZE, f"output_size.{side}", "64 to 4096 pixels")
        if size[0] * size[1] > pictures.MAX_PIXELS:
            raise _bad(Reason.INVALID_SIZE, "output_size", "at most 16 megapixels")
    elif not request.HasField("placement"):
        return size, cutout
    if request.placement.WhichOneof("placement") == "box":
        box = request.placement.box
        if not (box.width and box.height and box.x + box.width <= size[0] and box.y + box.height <= size[1]):
            raise _bad(Reason.INVALID_PLACEMENT, "placement.box", f"a rectangle inside {size[0]}×{size[1]} pixels")
        return size, pictures.fit(cutout[2], cutout[3], (box.x, box.y, box.width, box.height), (0.5, 0.5))
    return size, _fit(request.placement.fit, size, cutout)


def _fit(fit: pb.Fit, size: tuple[int, int], cutout: Rect) -> Rect:
    for name in ("horizontal", "vertical"):
        if getattr(fit, name) >= len(_ALIGNMENT) or getattr(fit, name) < 0:
            raise _unknown(f"placement.fit.{name}")
    padding = fit.padding if fit.HasField("padding") else 0.15
    if not 0.0 <= padding <= 0.45:
        raise _bad(Reason.INVALID_PLACEMENT, "placement.fit.padding", "0.0 to 0.45 of the shorter side")
    pad = round(padding * min(size))
    room = (pad, pad, size[0] - 2 * pad, size[1] - 2 * pad)
    return pictures.fit(cutout[2], cutout[3], room, (_ALIGNMENT[fit.horizontal], _ALIGNMENT[fit.vertical]))


def _whole(value: int, field: str, least: int, most: int) -> int:
    if not least <= value <= most:
        raise _out_of_range(field, f"{least} to {most}")
    return value


def _bad(reason: Reason, field: str, allowed: str) -> BackdropError:
    return error(reason, f"{field} must be {allowed}.", field=field)


def _out_of_range(field: str, allowed: str) -> BackdropError:
    return _bad(Reason.OUT_OF_RANGE, field, allowed)


def _unknown(field: str) -> BackdropError:
    return error(Reason.UNKNOWN_VALUE, f"{field} has a value that this server does not know.", field=field)

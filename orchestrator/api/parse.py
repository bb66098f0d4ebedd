"""GenerateRequest to Job: every check that needs no model, each refusal naming the field and the fix."""

from __future__ import annotations

import dataclasses
import math
import re
import secrets

from backdrop.errors import Reason, error
from backdrop.v1 import generation_service_pb2 as pb
from orchestrator.api.parse_options import read_dropping, read_priority, read_window
from orchestrator.api.parse_style import check_style, decode_style
from orchestrator.domain import Bytes, Fit, Job, MaskSource, OutputFormat, Rect, Size
from orchestrator.imaging.decode import decode_mask, decode_photo
from orchestrator.repository import PipelineSpec, Repository
from orchestrator.repository.tokenize import PromptTokenizers
from orchestrator.sampler import make_solver
from orchestrator.settings import Settings

MIN_SIDE, MAX_SIDE = 64, 4096
MAX_GUIDANCE, MAX_PADDING, MAX_PREVIEW_EVERY = 20.0, 0.45, 1000
MAX_SEED = 2**63 - 1
_IDEMPOTENCY_KEY = re.compile(r"[\x20-\x7e]{0,128}")

SCHEDULERS = {
    pb.SCHEDULER_DDIM: "ddim",
    pb.SCHEDULER_EULER: "euler",
    pb.SCHEDULER_DPMPP_2M: "dpmpp_2m",
    pb.SCHEDULER_DDPM: "ddpm",
    pb.SCHEDULER_LCM: "lcm",
    pb.SCHEDULER_FLOW_EULER: "flow_euler",
}
FORMATS = {
    pb.OUTPUT_FORMAT_UNSPECIFIED: OutputFormat.PNG,
    pb.OUTPUT_FORMAT_PNG: OutputFormat.PNG,
    pb.OUTPUT_FORMAT_JPEG: OutputFormat.JPEG,
    pb.OUTPUT_FORMAT_WEBP: OutputFormat.WEBP,
}
_HORIZONTAL = {0: 0.5, pb.HORIZONTAL_ALIGNMENT_LEFT: 0.0, pb.HORIZONTAL_ALIGNMENT_CENTER: 0.5,
               pb.HORIZONTAL_ALIGNMENT_RIGHT: 1.0}  # fmt: skip
_VERTICAL = {0: 0.5, pb.VERTICAL_ALIGNMENT_TOP: 0.0, pb.VERTICAL_ALIGNMENT_CENTER: 0.5,
             pb.VERTICAL_ALIGNMENT_BOTTOM: 1.0}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Parser:
    """Turns requests into jobs; blocking (it decodes pictures), so call it off the event loop."""

    settings: Settings
    repository: Repository
    tokenizers: PromptTokenizers

    def parse(self, request: pb.GenerateRequest, request_id: str) -> Job:
        """Checks `request` and fills in every default.

        Raises:
            InvalidRequestError: a field is wrong; the error names it.
            NotFoundError: the pipeline is not served.
        """
        pipeline = self._pipeline(request.pipeline)
        check_idempotency_key(request.idempotency_key)
        variants = self._range("variants", request.variants or 1, 1, self.settings.max_variants)
        top_k = self._range("top_k", request.top_k or variants, 1, variants)
        steps = request.steps if request.HasField("steps") else pipeline.default_steps
        self._range("steps", steps, 1, self.settings.max_steps)
        seed = request.seed if request.HasField("seed") else secrets.randbelow(MAX_SEED + 1)
        self._range("seed", seed, 0, MAX_SEED)
        self._range("preview_every", request.preview_every, 0, MAX_PREVIEW_EVERY)
        output_format = FORMATS.get(request.output_format)
        if output_format is None:
            raise error(Reason.UNKNOWN_VALUE, "output_format is not one this server knows.", field="output_format")
        scheduler, guidance_scale = self._scheduler(request, pipeline), self._guidance(request, pipeline)
        _check_steps(scheduler, pipeline, steps)
        image_scale = check_style(request, pipeline, self.repository)
        priority, window = read_priority(request), read_window(request)
        dropping = read_dropping(request, variants, top_k, steps)
        for field in ("prompt", "negative_prompt"):
            self._check_prompt(field, getattr(request, field), pipeline)
        output_size = self._output_size(request)
        placement = _placement(request, output_size)
        photo, mask, mask_source = self._pictures(request, placement)
        _check_box(placement, output_size or Size(photo.shape[1], photo.shape[0]))
        return Job(
            request_id=request_id, pipeline=pipeline, photo=photo, mask=mask, mask_source=mask_source,
            prompt=request.prompt, negative_prompt=request.negative_prompt, output_size=output_size,
            placement=placement, variants=variants, top_k=top_k, seed=seed, steps=steps, scheduler=scheduler,
            guidance_scale=guidance_scale, output_format=output_format, preview_every=request.preview_every,
            style=decode_style(request, max_pixels=self.settings.max_pixels), image_scale=image_scale,
            priority=priority, guidance_window=window, dropping=dropping,
        )  # fmt: skip

    def _pipeline(self, name: str) -> PipelineSpec:
        try:
            return self.repository.pipelines[name or self.repository.default]
        except KeyError:
            known = ", ".join(sorted(self.repository.pipelines))
            message = f"pipeline is not served here; this server has {known}."
            raise error(Reason.UNKNOWN_PIPELINE, message, field="pipeline") from None

    def _range(self, field: str, value: int, least: int, most: int) -> int:
        if not least <= value <= most:
            raise error(Reason.OUT_OF_RANGE, f"{field} is {value}; it must be {least} to {most}.", field=field)
        return value

    def _scheduler(self, request: pb.GenerateRequest, pipeline: PipelineSpec) -> str:
        if request.scheduler == pb.SCHEDULER_UNSPECIFIED:
            return pipeline.default_scheduler
        name = SCHEDULERS.get(request.scheduler)
        if name not in pipeline.schedulers:
            offered = ", ".join(pipeline.schedulers)
            message = f"scheduler is not offered by pipeline {pipeline.name}; it has {offered}."
            raise error(Reason.UNKNOWN_VALUE, message, field="scheduler")
        return name

    def _guidance(self, request: pb.GenerateRequest, pipeline: PipelineSpec) -> float:
        if not request.HasField("guidance_scale"):
            return pipeline.default_guidance_scale
        scale = request.guidance_scale
        if not (math.isfinite(scale) and 1.0 <= scale <= MAX_GUIDANCE):
            message = f"guidance_scale must be a number from 1.0 (off) to {MAX_GUIDANCE}."
            raise error(Reason.OUT_OF_RANGE, message, field="guidance_scale")
        return scale

    def _check_prompt(self, field: str, text: str, pipeline: PipelineSpec) -> None:
        if "\0" in text:
            raise error(Reason.INVALID_PROMPT, f"{field} holds a NUL character; remove it.", field=field)
        most = pipeline.max_prompt_tokens
        # No token is longer than a few dozen characters of real text: a megabyte need not be tokenized to be refused.
        count = self.tokenizers.count(pipeline, text) if len(text) <= 100 * most else len(text) // 4
        if count > most:
            message = f"{field} has {count} tokens; this pipeline reads {most}, start and end included. Shorten it."
            raise error(Reason.PROMPT_TOO_LONG, message, field=field)

    def _output_size(self, request: pb.GenerateRequest) -> Size | None:
        if not request.HasField("output_size"):
            return None
        size = Size(request.output_size.width, request.output_size.height)
        for side in ("width", "height"):
            if not MIN_SIDE <= getattr(size, side) <= MAX_SIDE:
                message = f"output_size.{side} is {getattr(size, side)}; it must be {MIN_SIDE} to {MAX_SIDE} pixels."
                raise error(Reason.INVALID_SIZE, message, field=f"output_size.{side}")
        if size.pixels > self.settings.max_pixels:
            message = f"output_size is more than {self.settings.max_pixels / 1e6:g} megapixels."
            raise error(Reason.INVALID_SIZE, message, field="output_size")
        return size

    def _pictures(
        self, request: pb.GenerateRequest, placement: Fit | Rect | None
    ) -> tuple[Bytes, Bytes | None, MaskSource]:
        photo = decode_photo(request.product, max_pixels=self.settings.max_pixels)
        if not request.mask:
            source = MaskSource.SEGMENTER if photo.alpha is None else MaskSource.ALPHA
            if photo.alpha is not None:
                check_mask(photo.alpha, "product", placed=placement is not None)
            return photo.rgb, photo.alpha, source
        mask = decode_mask(request.mask, max_pixels=self.settings.max_pixels)
        if mask.shape != photo.rgb.shape[:2]:
            ours = f"{mask.shape[1]}×{mask.shape[0]}"
            message = f"mask is {ours}, the photo {photo.rgb.shape[1]}×{photo.rgb.shape[0]}; they must be equal."
            raise error(Reason.INVALID_MASK, message, field="mask")
        check_mask(mask, "mask", placed=placement is not None)
        return photo.rgb, mask, MaskSource.REQUEST


def check_idempotency_key(key: str) -> None:
    """Raises InvalidRequestError unless `key` is 0 to 128 printable ASCII characters."""
    if not _IDEMPOTENCY_KEY.fullmatch(key):
        message = "idempotency_key must be at most 128 printable ASCII characters."
        raise error(Reason.OUT_OF_RANGE, message, field="idempotency_key")


def check_mask(mask: Bytes, field: str, *, placed: bool) -> None:
    """Raises InvalidRequestError for a mask without product, or without room for a scene when nothing is `placed`."""
    if not mask.any():
        message = f"{field}: the mask marks no product; 255 means product, 0 scene."
        raise error(Reason.INVALID_MASK, message, field=field)
    if not placed and (mask == 255).all():
        message = (
            f"{field}: the mask covers the whole photo; there is no scene to make. Give an output_size or placement."
        )
        raise error(Reason.INVALID_MASK, message, field=field)


def _check_steps(scheduler: str, pipeline: PipelineSpec, steps: int) -> None:
    """Raises InvalidRequestError when the solver has no so many timesteps on the pipeline's schedule."""
    try:
        make_solver(scheduler, pipeline.schedule, steps)
    except ValueError as problem:
        raise error(Reason.OUT_OF_RANGE, f"steps is {steps}, too many here: {problem}.", field="steps") from None


def _placement(request: pb.GenerateRequest, output_size: Size | None) -> Fit | Rect | None:
    which = request.placement.WhichOneof("placement")
    if which == "box":
        box = request.placement.box
        return Rect(box.x, box.y, box.width, box.height)
    if which is None and output_size is None and not request.HasField("placement"):
        return None
    fit = request.placement.fit
    padding = fit.padding if fit.HasField("padding") else Fit.padding
    if not (math.isfinite(padding) and 0.0 <= padding <= MAX_PADDING):
        message = f"placement.fit.padding must be 0.0 to {MAX_PADDING} of the shorter side."
        raise error(Reason.INVALID_PLACEMENT, message, field="placement.fit.padding")
    for name, table in (("horizontal", _HORIZONTAL), ("vertical", _VERTICAL)):
        if getattr(fit, name) not in table:
            field = f"placement.fit.{name}"
            raise error(Reason.UNKNOWN_VALUE, f"{field} is not an alignment this server knows.", field=field)
    return Fit(padding, _HORIZONTAL[fit.horizontal], _VERTICAL[fit.vertical])


def _check_box(placement: Fit | Rect | None, size: Size) -> None:
    if not isinstance(placement, Rect):
        return
    inside = placement.x + placement.width <= size.width and placement.y + placement.height <= size.height
    if placement.width < 1 or placement.height < 1 or not inside:
        message = f"placement.box must have at least one pixel and lie inside the {size.width}×{size.height} picture."
        raise error(Reason.INVALID_PLACEMENT, message, field="placement.box")

"""Protos to the types of `_types` and `_info`; what this client does not know becomes UNKNOWN or is skipped."""

from __future__ import annotations

import enum
import re
from types import MappingProxyType
from typing import TypeVar

from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper

from backdrop import _info as info
from backdrop import _types as types
from backdrop._enums import CompositingMode, MaskSource, OutputFormat, Priority, Scheduler, Stage
from backdrop.v1 import generation_service_pb2 as pb
from backdrop.v1 import info_service_pb2 as info_pb

_E = TypeVar("_E", bound=enum.StrEnum)


def event(message: pb.GenerateResponse) -> types.Event | None:
    """Returns the event in `message`, or None for a kind that this client is too old to know."""
    match message.WhichOneof("event"):
        case "accepted":
            accepted = message.accepted
            expected_start_s = accepted.expected_start.ToNanoseconds() / 1e9
            return types.Accepted(accepted.request_id, accepted.queue_position, accepted.row_steps, expected_start_s)
        case "stage":
            return types.StageStarted(_enum(Stage, pb.Stage, message.stage.stage))
        case "step":
            step = message.step
            return types.StepProgress(step.variant, step.step, step.steps, step.preview, step.draft)
        case "variant":
            variant = message.variant
            return types.VariantFinished(variant.variant, variant.seed, _scores(variant.scores))
        case "dropped":
            dropped = message.dropped
            return types.VariantDropped(dropped.variant, dropped.seed, _scores(dropped.scores))
        case "result":
            return result(message.result)
    return None


def result(message: pb.GenerateResult) -> types.Result:
    """Returns the end of the stream as callers see it."""
    cache = message.cache
    return types.Result(
        pictures=tuple(_picture(picture) for picture in message.pictures),
        model_fingerprints=MappingProxyType(dict(sorted(message.model_fingerprints.items()))),
        timings=tuple(
            types.Timing(_enum(Stage, pb.Stage, timing.stage), timing.duration.ToNanoseconds() / 1e9)
            for timing in message.timings
        ),
        cache=types.CacheReport(cache.memory_hits, cache.redis_hits, cache.misses),
        pipeline=message.pipeline,
        settings=_settings(message.settings),
        replayed=message.replayed,
        request_id=message.request_id,
        usage=types.Usage(message.usage.row_steps, message.usage.saved_row_steps, message.usage.row_step_megapixels),
    )


def server_info(message: info_pb.GetInfoResponse) -> info.Info:
    """Returns what a server serves as callers see it."""
    limits = message.limits
    return info.Info(
        server_version=message.server_version,
        pipelines=tuple(_pipeline(pipeline) for pipeline in message.pipelines),
        default_pipeline=message.default_pipeline,
        limits=info.Limits(
            max_variants=limits.max_variants,
            max_steps=limits.max_steps,
            max_pixels=limits.max_pixels,
            max_request_bytes=limits.max_request_bytes,
            max_running=limits.max_running,
            max_queued=limits.max_queued,
            idempotency_ttl_s=limits.idempotency_ttl.ToNanoseconds() / 1e9,
            max_style_images=limits.max_style_images,
        ),
        ready_replicas=message.ready_replicas,
    )


def _pipeline(message: info_pb.Pipeline) -> info.Pipeline:
    return info.Pipeline(
        name=message.name,
        description=message.description,
        scene_sizes=tuple((size.width, size.height) for size in message.scene_sizes),
        schedulers=tuple(_enum(Scheduler, pb.Scheduler, scheduler) for scheduler in message.schedulers),
        default_scheduler=_enum(Scheduler, pb.Scheduler, message.default_scheduler),
        default_steps=message.default_steps,
        default_guidance_scale=message.default_guidance_scale,
        max_prompt_tokens=message.max_prompt_tokens,
        reward_heads=tuple(message.reward_heads),
        models=tuple(info.Model(model.role, model.name, model.version, model.fingerprint) for model in message.models),
        takes_style_images=message.takes_style_images,
        default_image_scale=message.default_image_scale,
    )


def _picture(message: pb.Picture) -> types.Picture:
    receipt = message.receipt
    box = receipt.product_box
    return types.Picture(
        data=message.data,
        media_type=message.media_type,
        width=message.width,
        height=message.height,
        variant=message.variant,
        seed=message.seed,
        scores=_scores(message.scores),
        receipt=types.Receipt(
            max_difference=receipt.max_difference,
            compared_pixels=receipt.compared_pixels,
            mask_digest=receipt.mask_digest,
            compositing=_enum(CompositingMode, pb.CompositingMode, receipt.compositing),
            mask_source=_enum(MaskSource, pb.MaskSource, receipt.mask_source),
            product_box=types.Box(box.x, box.y, box.width, box.height),
            unscaled=receipt.unscaled,
        ),
    )


def _settings(message: pb.EffectiveSettings) -> types.Settings:
    return types.Settings(
        output_size=(message.output_size.width, message.output_size.height),
        scene_size=(message.scene_size.width, message.scene_size.height),
        variants=message.variants,
        top_k=message.top_k,
        seed=message.seed,
        steps=message.steps,
        scheduler=_enum(Scheduler, pb.Scheduler, message.scheduler),
        guidance_scale=message.guidance_scale,
        output_format=_enum(OutputFormat, pb.OutputFormat, message.output_format),
        image_scale=message.image_scale,
        priority=_enum(Priority, pb.Priority, message.priority),
        guidance_window=_window(message),
        early_dropping=tuple(_dropping(each) for each in message.early_dropping),
    )


def _dropping(message: pb.EarlyDropping) -> types.EarlyDropping:
    if message.HasField("draft_steps"):
        return types.EarlyDropping(message.keep, draft_steps=message.draft_steps)
    return types.EarlyDropping(message.keep, message.after)


def _window(message: pb.EffectiveSettings) -> tuple[float, float] | None:
    window = message.guidance_window
    return (window.start, window.stop) if message.HasField("guidance_window") else None


def _scores(message: pb.Scores) -> types.Scores:
    return types.Scores(message.total, MappingProxyType(dict(sorted(message.heads.items()))))  # a map has no order


def _enum(cls: type[_E], wrapper: EnumTypeWrapper, number: int) -> _E:
    try:
        return cls[wrapper.Name(number).removeprefix(_prefix(cls))]
    except (KeyError, ValueError):
        return cls["UNKNOWN"]


def enum_number(member: enum.StrEnum, wrapper: EnumTypeWrapper) -> int:
    """Returns the contract's number for `member`; ValueError for UNKNOWN, which nobody can ask for."""
    return wrapper.Value(_prefix(type(member)) + member.name)


def _prefix(cls: type[enum.StrEnum]) -> str:
    # The contract names its values by its enum, as buf's lint demands: OutputFormat → OUTPUT_FORMAT_PNG.
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cls.__name__).upper() + "_"

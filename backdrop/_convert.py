"""Protos to the types of `_types` and `_info`; values that this client does not know become UNKNOWN or are skipped."""

from __future__ import annotations

import enum
import re
from types import MappingProxyType
from typing import TypeVar

from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper

from backdrop import _events as events
from backdrop import _info as info
from backdrop import _types as types
from backdrop._enums import CompositingMode, MaskSource, OutputFormat, Priority, Scheduler, Stage
from backdrop.contract.request_warnings import RequestWarning
from backdrop.v1 import generation_service_pb2 as pb
from backdrop.v1 import info_service_pb2 as info_pb

_E = TypeVar("_E", bound=enum.StrEnum)


def event(message: pb.GenerateResponse) -> events.Event | None:
    """Returns the event in `message`, or None for a kind that this client is too old to know."""
    match message.WhichOneof("event"):
        case "accepted":
            accepted = message.accepted
            expected_start_s = accepted.expected_start.ToNanoseconds() / 1e9
            return events.Accepted(accepted.request_id, accepted.queue_position, accepted.row_steps, expected_start_s)
        case "stage":
            return events.StageStarted(_enum(Stage, pb.Stage, message.stage.stage))
        case "step":
            step = message.step
            return events.StepProgress(step.variant, step.step, step.steps, step.preview, step.draft)
        case "variant_finished":
            variant = message.variant_finished
            scores = _scores(variant.scores) if variant.HasField("scores") else None
            return events.VariantFinished(variant.variant, variant.seed, scores)
        case "variant_dropped":
            dropped = message.variant_dropped
            return events.VariantDropped(dropped.variant, dropped.seed, _scores(dropped.scores))
        case "picture":
            return _picture(message.picture)
        case "summary":
            return summary(message.summary)
    return None


def summary(message: pb.Summary) -> events.Summary:
    """Returns the end of the stream as callers see it."""
    cache = message.cache
    return events.Summary(
        model_fingerprints=MappingProxyType(dict(sorted(message.model_fingerprints.items()))),
        timings=tuple(
            events.Timing(_enum(Stage, pb.Stage, timing.stage), timing.duration.ToNanoseconds() / 1e9)
            for timing in message.timings
        ),
        cache=events.CacheReport(cache.memory_hits, cache.redis_hits, cache.misses),
        settings=_settings(message.settings),
        replayed=message.replayed,
        request_id=message.request_id,
        usage=events.Usage(message.usage.row_steps, message.usage.saved_row_steps, message.usage.row_step_megapixels),
        warnings=tuple(RequestWarning(each.reason, each.field, each.message) for each in message.warnings),
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
            max_products=limits.max_products,
            max_palette_colours=limits.max_palette_colours,
            max_layouts=limits.max_layouts,
        ),
        ready_replicas=message.ready_replicas,
        tasks=tuple(
            info.TaskInfo(task.name, task.description, tuple(task.required_fields), tuple(task.refused_fields))
            for task in message.tasks
        ),
        quotas=tuple(info.Quota(quota.name, quota.limit, quota.used) for quota in message.quotas),
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
        tasks=tuple(message.tasks),
        has_segmenter=message.has_segmenter,
        adapters=tuple(info.AdapterInfo(adapter.name, adapter.fingerprint) for adapter in message.adapters),
        max_adapters=message.max_adapters,
        upscale_factors=tuple(message.upscale_factors),
    )


def _picture(message: pb.Picture) -> events.Picture:
    return events.Picture(
        data=message.data,
        media_type=message.media_type,
        width=message.width,
        height=message.height,
        rank=message.rank,
        variant=message.variant,
        seed=message.seed,
        scores=_scores(message.scores) if message.HasField("scores") else None,
        receipt=_receipt(message.receipt) if message.HasField("receipt") else None,
        layout=message.layout,
    )


def _receipt(message: pb.PreservationReceipt) -> events.Receipt:
    return events.Receipt(
        max_difference=message.max_difference,
        compared_pixels=message.compared_pixels,
        mask_digest=message.mask_digest,
        compositing=_enum(CompositingMode, pb.CompositingMode, message.compositing),
        mask_source=_enum(MaskSource, pb.MaskSource, message.mask_source),
        known_box=_box(message.known_box),
        unscaled=message.unscaled,
        known_pixels=message.known_pixels,
        compared_fraction=message.compared_fraction,
        exact=message.exact,
        products=tuple(_product(each) for each in message.products),
        changes=_changes(message.changes) if message.HasField("changes") else None,
    )


def _changes(message: pb.BorderChanges) -> events.BorderChanges:
    return events.BorderChanges(
        band_pixels=message.band_pixels,
        changed_pixels=message.changed_pixels,
        max_difference=message.max_difference,
        mean_difference=message.mean_difference,
        map=message.map,
    )


def _product(message: pb.ProductReceipt) -> events.ProductReceipt:
    source = _enum(MaskSource, pb.MaskSource, message.mask_source)
    return events.ProductReceipt(_box(message.box), message.unscaled, source, message.visible_pixels)


def _box(message: pb.Box) -> types.Box:
    return types.Box(message.x, message.y, message.width, message.height)


def _settings(message: pb.EffectiveSettings) -> events.Settings:
    sampling, selection, delivery = message.sampling, message.selection, message.delivery
    window = sampling.guidance_window
    return events.Settings(
        task=message.task,
        pipeline=sampling.pipeline,
        seed=sampling.seed,
        scheduler=_enum(Scheduler, pb.Scheduler, sampling.scheduler),
        steps=sampling.steps,
        guidance_scale=sampling.guidance_scale,
        guidance_window=(window.start, window.stop) if sampling.HasField("guidance_window") else None,
        variants=selection.variants,
        top_k=selection.top_k,
        early_dropping=tuple(_dropping(each) for each in selection.early_dropping),
        output_size=(delivery.size.width, delivery.size.height),
        output_format=_enum(OutputFormat, pb.OutputFormat, delivery.format),
        preview_every=delivery.preview_every,
        scene_size=(message.scene_size.width, message.scene_size.height),
        image_scale=message.image_scale,
        priority=_enum(Priority, pb.Priority, message.priority),
        strength=message.strength,
        adapters=tuple(types.Adapter(adapter.name, adapter.weight) for adapter in message.adapters),
        palette=tuple(message.palette),
    )


def _dropping(message: pb.EarlyDropping) -> types.EarlyDropping:
    if message.HasField("draft_steps"):
        return types.EarlyDropping(message.keep, draft_steps=message.draft_steps)
    return types.EarlyDropping(message.keep, message.after)


def _scores(message: pb.Scores) -> events.Scores:
    return events.Scores(message.total, MappingProxyType(dict(sorted(message.heads.items()))))  # a map has no order


def _enum(cls: type[_E], wrapper: EnumTypeWrapper, number: int) -> _E:
    try:
        return cls[wrapper.Name(number).removeprefix(_prefix(cls))]
    except (KeyError, ValueError):
        return cls["UNKNOWN"]


def enum_number(member: enum.StrEnum, wrapper: EnumTypeWrapper) -> int:
    """Returns the contract's number for `member`; ValueError for UNKNOWN, which cannot be requested."""
    return wrapper.Value(_prefix(type(member)) + member.name)


def _prefix(cls: type[enum.StrEnum]) -> str:
    # The contract names its values by its enum, as buf's lint demands: OutputFormat → OUTPUT_FORMAT_PNG.
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cls.__name__).upper() + "_"

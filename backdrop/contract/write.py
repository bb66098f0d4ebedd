"""Values to messages: a summary's settings, usage and timings, a picture's receipt, and InfoService's tasks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from google.protobuf.duration_pb2 import Duration

from backdrop.contract.canvas import KeptPart
from backdrop.contract.geometry import Rect, Size
from backdrop.contract.parts import (
    Delivery,
    DroppingRound,
    Parts,
    Sampling,
    Selection,
    Window,
    row_steps,
    saved_row_steps,
)
from backdrop.contract.receipts import Changes, Receipt
from backdrop.contract.request_warnings import RequestWarning
from backdrop.contract.rules import TaskRules
from backdrop.contract.tiling import Tiling
from backdrop.contract.vocabulary import FORMAT_VALUES, SCHEDULER_VALUES
from backdrop.v1 import generation_service_pb2 as pb
from backdrop.v1 import info_service_pb2 as info_pb


def task_message(rules: TaskRules) -> info_pb.Task:
    """What InfoService says about a task."""
    return info_pb.Task(
        name=rules.name,
        description=rules.description,
        required_fields=rules.required,
        refused_fields=rules.refused,
    )


def settings_message(task: str, parts: Parts, size: Size, scene_size: Size) -> pb.EffectiveSettings:
    """What was used for a request, whose pictures have `size` and were made at `scene_size`."""
    return pb.EffectiveSettings(
        task=task,
        sampling=sampling_message(parts.sampling),
        selection=selection_message(parts.selection),
        delivery=delivery_message(parts.delivery, size),
        scene_size=size_message(scene_size),
        image_scale=parts.conditioning.image_scale,
        priority=pb.Priority.Name(parts.priority),
        strength=parts.sampling.strength,
        adapters=[pb.Adapter(name=each.name, weight=each.weight) for each in parts.conditioning.adapters],
        palette=parts.conditioning.palette,
    )


def fingerprints_message(models: Mapping[str, str], adapters: Mapping[str, str]) -> dict[str, str]:
    """A summary's digests: those of models and of adapters, each by name."""
    return {**models, **{f"adapter:{name}": digest for name, digest in adapters.items()}}


def usage_message(parts: Parts, *tilings: Tiling) -> pb.Usage:
    """What a request costs whose layouts have these scenes."""
    rows, tiles = row_steps(parts.sampling, parts.selection), sum(tiling.count for tiling in tilings)
    return pb.Usage(
        row_steps=rows * tiles,
        saved_row_steps=saved_row_steps(parts.sampling, parts.selection) * tiles,
        row_step_megapixels=rows * sum(tiling.megapixels for tiling in tilings),
    )


def sampling_message(sampling: Sampling) -> pb.Sampling:
    """The guidance window is absent where guidance is off, or in all steps."""
    window = None
    if sampling.guided and sampling.guidance_window != Window():
        window = pb.GuidanceWindow(start=sampling.guidance_window.start, stop=sampling.guidance_window.stop)
    return pb.Sampling(
        pipeline=sampling.pipeline,
        seed=sampling.seed,
        scheduler=SCHEDULER_VALUES[sampling.scheduler],
        steps=sampling.steps,
        guidance_scale=sampling.guidance_scale,
        guidance_window=window,
    )


def selection_message(selection: Selection) -> pb.Selection:
    """The selection as it was applied: without rounds that had nothing to drop."""
    rounds = [_round(each) for each in selection.dropping]
    return pb.Selection(variants=selection.variants, top_k=selection.top_k, early_dropping=rounds)


def delivery_message(delivery: Delivery, size: Size) -> pb.Delivery:
    """The delivery with the size that the pictures have."""
    return pb.Delivery(
        size=size_message(size), format=FORMAT_VALUES[delivery.format], preview_every=delivery.preview_every
    )


def size_message(size: Size) -> pb.Size:
    """Width and height."""
    return pb.Size(width=size.width, height=size.height)


def box_message(rect: Rect) -> pb.Box:
    """The same rectangle."""
    return pb.Box(x=rect.x, y=rect.y, width=rect.width, height=rect.height)


def receipt_message(receipt: Receipt | None) -> pb.PreservationReceipt | None:
    """What a receipt says; None where there is none."""
    if receipt is None:
        return None
    return pb.PreservationReceipt(
        max_difference=receipt.max_difference,
        compared_pixels=receipt.compared_pixels,
        mask_digest=receipt.mask_digest,
        compositing=pb.COMPOSITING_MODE_SOFT if receipt.soft else pb.COMPOSITING_MODE_HARD,
        mask_source=pb.MaskSource.Name(receipt.kept.mask_source),
        known_box=box_message(receipt.kept.box),
        unscaled=receipt.kept.unscaled,
        known_pixels=receipt.known_pixels,
        compared_fraction=receipt.compared_fraction,
        exact=receipt.exact,
        products=[_product(part) for part in receipt.kept.parts],
        changes=None if receipt.changes is None else _changes(receipt.changes),
    )


def _changes(changes: Changes) -> pb.BorderChanges:
    return pb.BorderChanges(
        band_pixels=changes.band_pixels,
        changed_pixels=changes.changed_pixels,
        max_difference=changes.max_difference,
        mean_difference=changes.mean_difference,
        map=changes.map,
    )


def _product(part: KeptPart) -> pb.ProductReceipt:
    return pb.ProductReceipt(
        box=box_message(part.box),
        unscaled=part.unscaled,
        mask_source=pb.MaskSource.Name(part.mask_source),
        visible_pixels=part.visible_pixels,
    )


def warning_messages(warnings: Iterable[RequestWarning]) -> list[pb.RequestWarning]:
    """What was corrected or ignored."""
    return [pb.RequestWarning(reason=each.reason, field=each.field, message=each.message) for each in warnings]


def timing_messages(timings: Iterable[tuple[int, float]]) -> list[pb.StageTiming]:
    """Stages, by their numbers in the contract, with the seconds that each took."""
    return [
        pb.StageTiming(stage=pb.Stage.Name(stage), duration=duration_message(seconds)) for stage, seconds in timings
    ]


def duration_message(seconds: float) -> Duration:
    """Seconds, to the nanosecond."""
    duration = Duration()
    duration.FromNanoseconds(round(seconds * 1e9))
    return duration


def _round(each: DroppingRound) -> pb.EarlyDropping:
    if each.draft_steps:
        return pb.EarlyDropping(keep=each.keep, draft_steps=each.draft_steps)
    return pb.EarlyDropping(keep=each.keep, after=each.after)

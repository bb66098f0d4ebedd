"""Events to messages of the stream."""

from __future__ import annotations

from google.protobuf import duration_pb2

from backdrop.contract.write import box_message, settings_message
from backdrop.v1 import generation_service_pb2 as pb
from orchestrator.events import (
    Accepted,
    Event,
    Finished,
    Picture,
    Scores,
    StageStarted,
    StepDone,
    VariantDropped,
    VariantFinished,
)
from orchestrator.imaging.receipt import Receipt
from orchestrator.request import Request


def response(event: Event, request: Request) -> pb.GenerateResponse:
    """The stream's message for one event of `request`."""
    match event:
        case Accepted():
            return pb.GenerateResponse(accepted=_accepted(event, request))
        case StageStarted():
            return pb.GenerateResponse(stage=pb.StageStarted(stage=pb.Stage.Name(event.stage)))
        case StepDone():
            return pb.GenerateResponse(step=_step(event))
        case VariantFinished():
            finished = pb.VariantFinished(variant=event.variant, seed=event.seed, scores=_scores(event.scores))
            return pb.GenerateResponse(variant_finished=finished)
        case VariantDropped():
            dropped = pb.VariantDropped(variant=event.variant, seed=event.seed, scores=_scores(event.scores))
            return pb.GenerateResponse(variant_dropped=dropped)
        case Picture():
            return pb.GenerateResponse(picture=_picture(event))
        case Finished():
            return pb.GenerateResponse(summary=_summary(event, request))


def _accepted(event: Accepted, request: Request) -> pb.Accepted:
    return pb.Accepted(
        request_id=request.request_id,
        queue_position=event.queue_position,
        row_steps=request.usage.row_steps,
        expected_start=_duration(event.expected_start_s),
    )


def _step(event: StepDone) -> pb.StepProgress:
    return pb.StepProgress(
        variant=event.variant, step=event.step, steps=event.steps, preview=event.preview, draft=event.draft
    )


def _picture(picture: Picture) -> pb.Picture:
    return pb.Picture(
        data=picture.data,
        media_type=picture.media_type,
        width=picture.size.width,
        height=picture.size.height,
        rank=picture.rank,
        variant=picture.variant,
        seed=picture.seed,
        scores=_scores(picture.scores),
        receipt=None if picture.receipt is None else _receipt(picture.receipt),
    )


def _receipt(receipt: Receipt) -> pb.PreservationReceipt:
    return pb.PreservationReceipt(
        max_difference=receipt.max_difference,
        compared_pixels=receipt.compared_pixels,
        mask_digest=receipt.mask_digest,
        compositing=pb.COMPOSITING_MODE_SOFT if receipt.soft else pb.COMPOSITING_MODE_HARD,
        mask_source=pb.MaskSource.Name(receipt.kept.mask_source),
        known_box=box_message(receipt.kept.box),
        unscaled=receipt.kept.unscaled,
    )


def _summary(finished: Finished, request: Request) -> pb.Summary:
    cache, usage = finished.cache, request.usage
    timings = [
        pb.StageTiming(stage=pb.Stage.Name(stage), duration=_duration(seconds))
        for stage, seconds in finished.timings.items()
    ]
    return pb.Summary(
        pictures=finished.pictures,
        model_fingerprints=request.pipeline.fingerprints,
        timings=timings,
        cache=pb.CacheReport(memory_hits=cache.memory_hits, redis_hits=cache.redis_hits, misses=cache.misses),
        settings=settings_message(request.task.name, request.parts, request.input.size, request.scene_size),
        request_id=request.request_id,
        usage=pb.Usage(
            row_steps=usage.row_steps, saved_row_steps=usage.saved_row_steps, row_step_megapixels=usage.work
        ),
    )


def _scores(scores: Scores) -> pb.Scores:
    return pb.Scores(total=scores.total, heads=dict(scores.heads))


def _duration(seconds: float) -> duration_pb2.Duration:
    duration = duration_pb2.Duration()
    duration.FromNanoseconds(round(seconds * 1e9))
    return duration

"""Events to messages of the stream."""

from __future__ import annotations

from backdrop.contract.write import (
    duration_message,
    receipt_message,
    settings_message,
    timing_messages,
    usage_message,
    warning_messages,
)
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
        expected_start=duration_message(event.expected_start_s),
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
        receipt=receipt_message(picture.receipt),
        layout=picture.layout,
    )


def _summary(finished: Finished, request: Request) -> pb.Summary:
    cache = finished.cache
    return pb.Summary(
        pictures=finished.pictures,
        model_fingerprints=request.fingerprints,
        timings=timing_messages(finished.timings.items()),
        cache=pb.CacheReport(memory_hits=cache.memory_hits, redis_hits=cache.redis_hits, misses=cache.misses),
        settings=settings_message(request.task.name, request.parts, request.input.size, request.tiling.scene),
        request_id=request.request_id,
        usage=usage_message(request.parts, *request.tilings),
        warnings=warning_messages(finished.warnings),
    )


def _scores(scores: Scores | None) -> pb.Scores | None:
    return None if scores is None else pb.Scores(total=scores.total, heads=dict(scores.heads))

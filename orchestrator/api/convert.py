"""Domain events to proto messages."""

from __future__ import annotations

from google.protobuf import duration_pb2

from backdrop.v1 import generation_service_pb2 as pb
from orchestrator.api.parse import FORMATS, SCHEDULERS
from orchestrator.domain import (
    Accepted,
    Dropping,
    Event,
    Finished,
    Job,
    OutputFormat,
    Picture,
    Scores,
    StageStarted,
    StepDone,
    VariantDropped,
    Window,
)

SCHEDULER_VALUES = {name: value for value, name in SCHEDULERS.items()}
FORMAT_VALUES = {OutputFormat[pb.OutputFormat.Name(v).removeprefix("OUTPUT_FORMAT_")]: v for v in FORMATS if v}


def response(event: Event, job: Job) -> pb.GenerateResponse:
    """The stream's message for one event of `job`."""
    if isinstance(event, Accepted):
        accepted = pb.Accepted(
            request_id=job.request_id,
            queue_position=event.queue_position,
            row_steps=job.row_steps,
            expected_start=_duration(event.expected_start_s),
        )
        return pb.GenerateResponse(accepted=accepted)
    if isinstance(event, StageStarted):
        return pb.GenerateResponse(stage=pb.StageStarted(stage=pb.Stage.Name(event.stage)))
    if isinstance(event, StepDone):
        step = pb.StepProgress(
            variant=event.variant, step=event.step, steps=event.steps, preview=event.preview, draft=event.draft
        )
        return pb.GenerateResponse(step=step)
    if isinstance(event, Finished):
        return pb.GenerateResponse(result=_result(event))
    if isinstance(event, VariantDropped):
        dropped = pb.VariantDropped(variant=event.variant, seed=event.seed, scores=_scores(event.scores))
        return pb.GenerateResponse(dropped=dropped)
    finished = pb.VariantFinished(variant=event.variant, seed=event.seed, scores=_scores(event.scores))
    return pb.GenerateResponse(variant=finished)


def _dropping(each: Dropping) -> pb.EarlyDropping:
    if each.draft_steps:
        return pb.EarlyDropping(keep=each.keep, draft_steps=each.draft_steps)
    return pb.EarlyDropping(keep=each.keep, after=each.after)


def _result(finished: Finished) -> pb.GenerateResult:
    job = finished.job
    settings = pb.EffectiveSettings(
        output_size=pb.Size(width=finished.output_size.width, height=finished.output_size.height),
        scene_size=pb.Size(width=finished.scene_size.width, height=finished.scene_size.height),
        variants=job.variants,
        top_k=job.top_k,
        seed=job.seed,
        steps=job.steps,
        scheduler=SCHEDULER_VALUES[job.scheduler],
        guidance_scale=job.guidance_scale,
        output_format=FORMAT_VALUES[job.output_format],
        image_scale=job.image_scale,
        priority=pb.Priority.Name(job.priority),
        guidance_window=_window(job),
        early_dropping=[_dropping(each) for each in job.dropping],
    )
    cache = finished.cache
    return pb.GenerateResult(
        pictures=[_picture(picture, job) for picture in finished.pictures],
        model_fingerprints=job.pipeline.fingerprints,
        timings=[
            pb.StageTiming(stage=pb.Stage.Name(stage), duration=_duration(seconds))
            for stage, seconds in finished.timings.items()
        ],
        cache=pb.CacheReport(memory_hits=cache.memory_hits, redis_hits=cache.redis_hits, misses=cache.misses),
        pipeline=job.pipeline.name,
        settings=settings,
        request_id=job.request_id,
        usage=pb.Usage(
            row_steps=job.row_steps,
            saved_row_steps=job.saved_row_steps,
            row_step_megapixels=job.row_steps * finished.scene_size.pixels / 1e6,
        ),
    )


def _window(job: Job) -> pb.GuidanceWindow | None:
    if not job.guided or job.guidance_window == Window():
        return None
    return pb.GuidanceWindow(start=job.guidance_window.start, stop=job.guidance_window.stop)


def _picture(picture: Picture, job: Job) -> pb.Picture:
    receipt, box = picture.receipt, picture.receipt.product_box
    return pb.Picture(
        data=picture.data,
        media_type=job.output_format.media_type,
        width=picture.size.width,
        height=picture.size.height,
        variant=picture.variant,
        seed=picture.seed,
        scores=_scores(picture.scores),
        receipt=pb.PreservationReceipt(
            max_difference=receipt.max_difference,
            compared_pixels=receipt.compared_pixels,
            mask_digest=receipt.mask_digest,
            compositing=pb.COMPOSITING_MODE_SOFT if receipt.soft else pb.COMPOSITING_MODE_HARD,
            mask_source=pb.MaskSource.Name(receipt.mask_source),
            product_box=pb.Box(x=box.x, y=box.y, width=box.width, height=box.height),
            unscaled=receipt.unscaled,
        ),
    )


def _scores(scores: Scores) -> pb.Scores:
    return pb.Scores(total=scores.total, heads=dict(scores.heads))


def _duration(seconds: float) -> duration_pb2.Duration:
    duration = duration_pb2.Duration()
    duration.FromNanoseconds(round(seconds * 1e9))
    return duration

"""What this server serves, as InfoService answers it."""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata

from google.protobuf import duration_pb2

from backdrop.contract.limits import MAX_COLOURS, MAX_LAYOUTS, MAX_PRODUCTS, MAX_STYLE_IMAGES
from backdrop.contract.upscaling import FACTORS
from backdrop.contract.vocabulary import SCHEDULER_VALUES
from backdrop.contract.write import size_message, task_message
from backdrop.v1 import info_service_pb2 as info_pb
from orchestrator.repository import PipelineSpec, Repository
from orchestrator.settings import Settings
from orchestrator.tasks import ALL
from orchestrator.tasks.serving import served_tasks


def describer(
    described: info_pb.GetInfoResponse, ready_replicas: Callable[[], int]
) -> Callable[[], info_pb.GetInfoResponse]:
    """Returns a function that answers from memory; only the number of ready replicas changes."""

    def describe() -> info_pb.GetInfoResponse:
        answer = info_pb.GetInfoResponse()
        answer.CopyFrom(described)
        answer.ready_replicas = ready_replicas()
        return answer

    return describe


def describe_server(settings: Settings, repository: Repository) -> info_pb.GetInfoResponse:
    """What the server serves; requests are checked against it too."""
    return info_pb.GetInfoResponse(
        server_version=_version(),
        pipelines=[_pipeline(pipeline) for pipeline in repository.pipelines.values()],
        default_pipeline=repository.default,
        tasks=[task_message(task.rules) for task in ALL.values()],
        limits=info_pb.Limits(
            max_variants=settings.max_variants,
            max_steps=settings.max_steps,
            max_pixels=settings.max_pixels,
            max_request_bytes=settings.max_request_bytes,
            max_running=settings.max_running,
            max_queued=settings.max_queued,
            idempotency_ttl=duration_pb2.Duration(seconds=settings.idempotency_ttl_s),
            max_style_images=MAX_STYLE_IMAGES,
            max_products=MAX_PRODUCTS,
            max_palette_colours=MAX_COLOURS,
            max_layouts=MAX_LAYOUTS,
        ),
    )


def _pipeline(pipeline: PipelineSpec) -> info_pb.Pipeline:
    return info_pb.Pipeline(
        name=pipeline.name,
        description=pipeline.description,
        scene_sizes=[size_message(bucket) for bucket in pipeline.buckets],
        schedulers=[SCHEDULER_VALUES[name] for name in pipeline.schedulers],
        default_scheduler=SCHEDULER_VALUES[pipeline.default_scheduler],
        default_steps=pipeline.default_steps,
        default_guidance_scale=pipeline.default_guidance_scale,
        max_prompt_tokens=pipeline.max_prompt_tokens,
        reward_heads=pipeline.reward_heads,
        models=[
            info_pb.Model(role=role, name=model.name, version=model.version, fingerprint=model.fingerprint)
            for role, model in pipeline.models.items()
        ],
        takes_style_images=pipeline.takes_style,
        default_image_scale=pipeline.default_image_scale if pipeline.takes_style else 0.0,
        tasks=served_tasks(pipeline),
        has_segmenter=pipeline.segments,
        adapters=[
            info_pb.AdapterInfo(name=name, fingerprint=adapter.digest)
            for name, adapter in sorted(pipeline.adapters.items())
        ],
        max_adapters=pipeline.adapter_slots if pipeline.adapters else 0,
        upscale_factors=FACTORS if pipeline.upscaler else (),
    )


def _version() -> str:
    try:
        return metadata.version("backdrop")
    except metadata.PackageNotFoundError:  # a container image with the folders but without the installed package
        return "0+unknown"

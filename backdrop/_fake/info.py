"""What the fake says about itself: three pipelines, as the reference repository has them, or without some roles."""

from __future__ import annotations

import hashlib
from collections.abc import Collection

from google.protobuf.duration_pb2 import Duration

from backdrop.contract.limits import MAX_COLOURS, MAX_LAYOUTS, MAX_PRODUCTS, MAX_STYLE_IMAGES
from backdrop.contract.rules import TASKS
from backdrop.contract.upscaling import FACTORS
from backdrop.contract.write import task_message
from backdrop.v1 import generation_service_pb2 as pb
from backdrop.v1 import info_service_pb2 as info_pb

_HEADS = ("defects", "fidelity", "aesthetics")
_CLIP = ("text_encoder_l", "text_encoder_g", "image_encoder_clip", "image_encoder_uve", "image_projector")
_T5 = ("text_encoder_g", "text_encoder_t5")
OPTIONAL = ("reward", "segmenter", "upscaler")
"""Roles that a pipeline can do without."""
_SHARED = ("vae_encoder", "vae_decoder", *OPTIONAL)
ADAPTERS = ("aurelia", "neon", "pencil", "winter")
"""Of the default pipeline; they change the painted scene."""
MAX_ADAPTERS = 3
_SOLVERS = (pb.SCHEDULER_DDIM, pb.SCHEDULER_EULER, pb.SCHEDULER_DPMPP_2M, pb.SCHEDULER_DDPM)


def make_info(without: Collection[str] = ()) -> info_pb.GetInfoResponse:
    """What the fake serves; its models are names without files. Its pipelines have none of the roles in `without`."""
    if unknown := sorted(set(without) - set(OPTIONAL)):
        raise ValueError(f"{unknown[0]} is not an optional role; there are {', '.join(OPTIONAL)}")
    limits = info_pb.Limits(
        max_variants=16,
        max_steps=100,
        max_pixels=16_000_000,
        max_request_bytes=40 * 2**20,
        max_running=8,
        max_queued=64,
        idempotency_ttl=Duration(seconds=3600),
        max_style_images=MAX_STYLE_IMAGES,
        max_products=MAX_PRODUCTS,
        max_palette_colours=MAX_COLOURS,
        max_layouts=MAX_LAYOUTS,
    )
    info = info_pb.GetInfoResponse(
        server_version="0.0.0+fake",
        pipelines=[
            _with_adapters(_pipeline("backdrop", "denoiser", _CLIP, _SOLVERS, guidance_scale=5.0, tokens=77)),
            _with_adapters(_pipeline("backdrop-fast", "denoiser", _CLIP, (pb.SCHEDULER_LCM,), steps=4, tokens=77)),
            _pipeline("backdrop-dit", "denoiser_dit", _T5, (pb.SCHEDULER_FLOW_EULER,), guidance_scale=4.0, tokens=128),
        ],
        default_pipeline="backdrop",
        limits=limits,
        ready_replicas=1,
        tasks=map(task_message, TASKS.values()),
    )
    for pipeline in info.pipelines:
        _drop(pipeline, without)
    return info


def _drop(pipeline: info_pb.Pipeline, roles: Collection[str]) -> None:
    """Takes roles away from a pipeline."""
    models = [model for model in pipeline.models if model.role not in roles]
    del pipeline.models[:]
    pipeline.models.extend(models)
    if "reward" in roles:
        pipeline.ClearField("reward_heads")
    pipeline.has_segmenter = "segmenter" not in roles
    if "upscaler" in roles:
        pipeline.ClearField("upscale_factors")
        pipeline.tasks.remove("upscale")


def _pipeline(
    name: str,
    denoiser: str,
    encoders: tuple[str, ...],
    solvers: tuple[pb.Scheduler, ...],
    *,
    tokens: int,
    steps: int = 20,
    guidance_scale: float = 1.0,
) -> info_pb.Pipeline:
    """A pipeline that serves every task; the middle one of its solvers is the default."""
    takes_style_images = "image_projector" in encoders
    return info_pb.Pipeline(
        name=name,
        description="A fake: known pixels on painted gradients, for tests.",
        scene_sizes=[pb.Size(width=width, height=height) for width, height in ((256, 256), (256, 192), (192, 256))],
        schedulers=solvers,
        default_scheduler=solvers[len(solvers) // 2],
        default_steps=steps,
        default_guidance_scale=guidance_scale,
        max_prompt_tokens=tokens,
        reward_heads=_HEADS,
        models=[_model(role, role) for role in (*encoders, *_SHARED)] + [_model("denoiser", denoiser)],
        takes_style_images=takes_style_images,
        default_image_scale=1.0 if takes_style_images else 0.0,
        tasks=TASKS,
        upscale_factors=FACTORS,
    )


def _with_adapters(pipeline: info_pb.Pipeline) -> info_pb.Pipeline:
    """The same pipeline with adapters."""
    pipeline.adapters.extend(info_pb.AdapterInfo(name=name, fingerprint=_digest(name)) for name in ADAPTERS)
    pipeline.max_adapters = MAX_ADAPTERS
    return pipeline


def _model(role: str, name: str) -> info_pb.Model:
    return info_pb.Model(role=role, name=name, version="1", fingerprint=_digest(name))


def _digest(name: str) -> str:
    return f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"

"""What the fake says about itself: three pipelines, as the reference repository has them."""

from __future__ import annotations

import hashlib

from google.protobuf.duration_pb2 import Duration

from backdrop._fake.generation import HEADS
from backdrop._fake.pictures import MAX_PIXELS
from backdrop.v1 import generation_service_pb2 as pb
from backdrop.v1 import info_service_pb2 as info_pb

_STYLE = ("image_encoder_clip", "image_encoder_uve", "image_projector")
_CLIP = ("text_encoder_l", "text_encoder_g")
_SHARED = ("vae_encoder", "vae_decoder", "reward", "segmenter")


def make_info() -> info_pb.GetInfoResponse:
    """Returns what the fake serves; its models are names without files, and their fingerprints say so."""
    backdrop = _pipeline(
        "backdrop",
        {role: role for role in (*_CLIP, *_STYLE, *_SHARED, "denoiser")},
        schedulers=[pb.SCHEDULER_DDIM, pb.SCHEDULER_EULER, pb.SCHEDULER_DPMPP_2M, pb.SCHEDULER_DDPM],
        default_scheduler=pb.SCHEDULER_DPMPP_2M,
        default_steps=20,
        default_guidance_scale=5.0,
        max_prompt_tokens=77,
    )
    fast = _pipeline(
        "backdrop-fast",
        {role: role for role in (*_CLIP, *_STYLE, *_SHARED)} | {"denoiser": "denoiser_fast"},
        schedulers=[pb.SCHEDULER_LCM],
        default_scheduler=pb.SCHEDULER_LCM,
        default_steps=4,
        default_guidance_scale=1.0,
        max_prompt_tokens=77,
    )
    dit = _pipeline(
        "backdrop-dit",
        {role: role for role in ("text_encoder_g", "text_encoder_t5", *_SHARED)} | {"denoiser": "denoiser_dit"},
        schedulers=[pb.SCHEDULER_FLOW_EULER],
        default_scheduler=pb.SCHEDULER_FLOW_EULER,
        default_steps=20,
        default_guidance_scale=4.0,
        max_prompt_tokens=128,
    )
    limits = info_pb.Limits(
        max_variants=16,
        max_steps=100,
        max_pixels=MAX_PIXELS,
        max_request_bytes=40 * 2**20,
        max_running=8,
        max_queued=64,
        idempotency_ttl=Duration(seconds=3600),
        max_style_images=4,
    )
    return info_pb.GetInfoResponse(
        server_version="0.0.0+fake",
        pipelines=[backdrop, fast, dit],
        default_pipeline=backdrop.name,
        limits=limits,
        ready_replicas=1,
    )


def _pipeline(
    name: str,
    models: dict[str, str],
    *,
    schedulers: list[pb.Scheduler],
    default_scheduler: pb.Scheduler,
    default_steps: int,
    default_guidance_scale: float,
    max_prompt_tokens: int,
) -> info_pb.Pipeline:
    """Describes a pipeline; `models` are names by role."""
    takes_style_images = set(_STYLE) <= set(models)
    return info_pb.Pipeline(
        name=name,
        description="A fake: real products on painted gradients, for tests.",
        scene_sizes=[pb.Size(width=width, height=height) for width, height in ((256, 256), (256, 192), (192, 256))],
        schedulers=schedulers,
        default_scheduler=default_scheduler,
        default_steps=default_steps,
        default_guidance_scale=default_guidance_scale,
        max_prompt_tokens=max_prompt_tokens,
        reward_heads=HEADS,
        models=[
            info_pb.Model(role=role, name=model, version="1", fingerprint=f"sha256:{_digest(model)}")
            for role, model in models.items()
        ],
        takes_style_images=takes_style_images,
        default_image_scale=1.0 if takes_style_images else 0.0,
    )


def _digest(model: str) -> str:
    return hashlib.sha256(f"fake {model}".encode()).hexdigest()

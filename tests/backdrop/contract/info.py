"""What two servers' pipelines say about themselves: what requests are checked against."""

from __future__ import annotations

from typing import Any

from backdrop.contract.parts import Parts
from backdrop.contract.read import read_parts, read_pipeline
from backdrop.contract.rules import read_task
from backdrop.v1 import generation_service_pb2 as pb
from backdrop.v1 import info_service_pb2 as info_pb


def served_pipeline(name: str, **changes: Any) -> info_pb.Pipeline:
    """A pipeline of 4 steps that serves both tasks and takes prompts of 12 tokens."""
    values: dict[str, Any] = {
        "schedulers": [pb.SCHEDULER_DDIM, pb.SCHEDULER_DPMPP_2M, pb.SCHEDULER_LCM],
        "default_scheduler": pb.SCHEDULER_DPMPP_2M,
        "default_steps": 4,
        "default_guidance_scale": 3.0,
        "max_prompt_tokens": 12,
        "tasks": ["background", "text_to_image"],
        "scene_sizes": [pb.Size(width=64, height=64)],
        "reward_heads": ["defects"],
        "has_segmenter": True,
        **changes,
    }
    return info_pb.Pipeline(name=name, **values)


INFO = info_pb.GetInfoResponse(
    pipelines=[
        served_pipeline("plain"),
        served_pipeline("styled", takes_style_images=True, default_image_scale=0.75),
        served_pipeline("words", tasks=["text_to_image"]),
        served_pipeline("bare", reward_heads=[], has_segmenter=False),
    ],
    default_pipeline="plain",
    limits=info_pb.Limits(max_variants=8, max_steps=60, max_pixels=16_000_000, max_style_images=4),
)


def count_tokens(text: str) -> int:
    """Words, and a start and an end token."""
    return len(text.split()) + 2


def read(message: pb.GenerateRequest) -> Parts:
    """The parts of a request, after the checks that come before them."""
    rules = read_task(message)
    return read_parts(message, rules, read_pipeline(message, rules, INFO), INFO, count_tokens)

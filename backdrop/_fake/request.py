"""A request as the fake reads it: every check of the contract, every default, and the canvas."""

from __future__ import annotations

import dataclasses
import hashlib
import re

from backdrop._fake.canvas import make_canvases
from backdrop.contract.canvas import Canvas
from backdrop.contract.effects import idle_fields
from backdrop.contract.geometry import Size
from backdrop.contract.parts import Parts, Window
from backdrop.contract.pictures import decode_style
from backdrop.contract.read import check_idempotency_key, read_parts, read_pipeline
from backdrop.contract.request_warnings import RequestWarning
from backdrop.contract.rules import read_task
from backdrop.contract.tiling import tiling_of
from backdrop.contract.write import settings_message, usage_message
from backdrop.v1 import generation_service_pb2 as pb
from backdrop.v1 import info_service_pb2 as info_pb


@dataclasses.dataclass(frozen=True, eq=False)
class Request:
    """A valid request."""

    pipeline: info_pb.Pipeline
    sampled: bool
    """Whether models would make its pixels."""
    parts: Parts
    canvases: tuple[Canvas, ...]
    """One for each layout."""
    settings: pb.EffectiveSettings
    usage: pb.Usage
    look: str
    """What the scenes depend on, besides the seed."""
    warnings: tuple[RequestWarning, ...]
    """What was corrected or ignored."""


def read_request(request: pb.GenerateRequest, info: info_pb.GetInfoResponse) -> Request:
    """Checks everything that the contract says about `request`.

    Raises:
        InvalidRequestError: a field is wrong; the error names it.
        NotFoundError: the pipeline is not served.
    """
    rules = read_task(request)
    pipeline = read_pipeline(request, rules, info)
    parts = read_parts(request, rules, pipeline, info, _count_tokens)
    check_idempotency_key(request.idempotency_key)
    style, style_warnings = decode_style(request.conditioning, max_pixels=info.limits.max_pixels)
    parts = dataclasses.replace(parts, conditioning=dataclasses.replace(parts.conditioning, style=style))
    canvases, picture_warnings = make_canvases(request, pipeline, parts.delivery, info.limits)
    buckets = [Size(size.width, size.height) for size in pipeline.scene_sizes]
    tilings = [tiling_of(canvas.size, buckets) for canvas in canvases]
    return Request(
        pipeline=pipeline,
        sampled=rules.sampled,
        parts=parts,
        canvases=canvases,
        settings=settings_message(rules.name, parts, canvases[0].size, tilings[0].scene),
        usage=usage_message(parts, *tilings),
        look=_look(rules.name, parts),
        warnings=(*idle_fields(request, parts), *picture_warnings, *style_warnings),
    )


def _count_tokens(text: str) -> int:
    # No tokenizer here: about one token a word or sign, more for long words, and one each for start and end.
    return 2 + sum(1 + len(word) // 10 for word in re.findall(r"\w+|[^\w\s]", text))


def _look(task: str, parts: Parts) -> str:
    """Settings that have no effect are left out: the same pictures must come without them."""
    conditioning, sampling = parts.conditioning, dataclasses.replace(parts.sampling, seed=0)
    negative_prompt = conditioning.negative_prompt
    if not sampling.guided:
        negative_prompt, sampling = "", dataclasses.replace(sampling, guidance_window=Window())
    total = sum(picture.weight for picture in conditioning.style)
    style = [(hashlib.sha256(each.pixels.tobytes()).hexdigest(), each.weight / total) for each in conditioning.style]
    scaled = (conditioning.image_scale, style) if conditioning.image_scale else ()
    return repr((task, sampling, conditioning.prompt, negative_prompt, scaled, conditioning.adapters))

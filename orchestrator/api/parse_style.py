"""The style part of a GenerateRequest: pictures, weights and the image-token scale."""

from __future__ import annotations

import math

from backdrop.errors import Reason, error
from backdrop.v1 import generation_service_pb2 as pb
from orchestrator.domain import StylePicture
from orchestrator.imaging.decode import decode_photo
from orchestrator.imaging.style import style_pixels
from orchestrator.repository import PipelineSpec, Repository

MAX_STYLE_IMAGES = 4
MAX_WEIGHT, MAX_IMAGE_SCALE = 10.0, 2.0


def check_style(request: pb.GenerateRequest, pipeline: PipelineSpec, repository: Repository) -> float:
    """Checks everything about style but the pictures themselves; returns the image-token scale, 0 without pictures.

    Raises:
        InvalidRequestError: the pipeline takes no style pictures, there are too many, or a number is out of range.
    """
    scale = request.image_scale if request.HasField("image_scale") else pipeline.default_image_scale
    if not (math.isfinite(scale) and 0.0 <= scale <= MAX_IMAGE_SCALE):
        message = f"image_scale must be a number from 0.0 to {MAX_IMAGE_SCALE}."
        raise error(Reason.OUT_OF_RANGE, message, field="image_scale")
    if not request.style_images:
        return 0.0
    if not pipeline.takes_style:
        others = ", ".join(sorted(name for name, spec in repository.pipelines.items() if spec.takes_style)) or "none"
        message = f"style_images: pipeline {pipeline.name} takes no style pictures; on this server these do: {others}."
        raise error(Reason.STYLE_NOT_TAKEN, message, field="style_images")
    if len(request.style_images) > MAX_STYLE_IMAGES:
        message = f"style_images holds {len(request.style_images)} pictures; at most {MAX_STYLE_IMAGES} are taken."
        raise error(Reason.OUT_OF_RANGE, message, field="style_images")
    for index, picture in enumerate(request.style_images):
        if picture.HasField("weight") and not 0.0 < picture.weight <= MAX_WEIGHT:  # not a number fails this too
            field = f"style_images[{index}].weight"
            message = f"{field} must be a number above 0.0, at most {MAX_WEIGHT}."
            raise error(Reason.OUT_OF_RANGE, message, field=field)
    return scale


def decode_style(request: pb.GenerateRequest, *, max_pixels: int) -> tuple[StylePicture, ...]:
    """Decodes the style pictures of a request that `check_style` let pass.

    Raises:
        InvalidRequestError: one is not a whole, still PNG, JPEG or WebP, or too large; the field is named.
    """
    pictures = []
    for index, picture in enumerate(request.style_images):
        photo = decode_photo(picture.image, max_pixels=max_pixels, field=f"style_images[{index}].image")
        pictures.append(StylePicture(style_pixels(photo), picture.weight if picture.HasField("weight") else 1.0))
    return tuple(pictures)

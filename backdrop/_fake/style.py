"""The fake's reading of style pictures: every check of the contract, and digests for scenes to depend on."""

from __future__ import annotations

import hashlib

from backdrop._fake import pictures
from backdrop.errors import BackdropError, Reason, error
from backdrop.v1 import generation_service_pb2 as pb
from backdrop.v1 import info_service_pb2 as info_pb


def check_scale(request: pb.GenerateRequest, pipeline: info_pb.Pipeline, info: info_pb.GetInfoResponse) -> float:
    """Returns the image-token scale, 0 without style pictures.

    Raises:
        InvalidRequestError: style pictures are not taken or too many, or a number is outside its range.
    """
    scale = request.image_scale if request.HasField("image_scale") else pipeline.default_image_scale
    if not 0.0 <= scale <= 2.0:  # not a number fails this too
        raise _out_of_range("image_scale", "0.0 to 2.0")
    if not request.style_images:
        return 0.0
    if not pipeline.takes_style_images:
        others = ", ".join(other.name for other in info.pipelines if other.takes_style_images) or "none"
        message = f"style_images: pipeline {pipeline.name} takes no style pictures; here these do: {others}."
        raise error(Reason.STYLE_NOT_TAKEN, message, field="style_images")
    if len(request.style_images) > info.limits.max_style_images:
        raise _out_of_range("style_images", f"at most {info.limits.max_style_images} pictures")
    for index, picture in enumerate(request.style_images):
        if picture.HasField("weight") and not 0.0 < picture.weight <= 10.0:
            raise _out_of_range(f"style_images[{index}].weight", "above 0.0, at most 10.0")
    return scale


def style_digests(request: pb.GenerateRequest) -> list[tuple[str, float]]:
    """Returns a digest of each style picture's pixels and its share of the whole weight.

    Raises:
        InvalidRequestError: one is no whole, still PNG, JPEG or WebP, or too large.
    """
    weights = [picture.weight if picture.HasField("weight") else 1.0 for picture in request.style_images]
    digests = []
    for index, picture in enumerate(request.style_images):
        image = pictures.decode(picture.image, f"style_images[{index}].image")
        digests.append(hashlib.sha256(repr(image.size).encode() + image.convert("RGBA").tobytes()).hexdigest())
    return [(digest, weight / sum(weights)) for digest, weight in zip(digests, weights, strict=True)]


def _out_of_range(field: str, allowed: str) -> BackdropError:
    return error(Reason.OUT_OF_RANGE, f"{field} must be {allowed}.", field=field)

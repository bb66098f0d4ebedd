"""Builds a request from plain Python values; refuses here only what cannot be sent, the server judges the rest."""

from __future__ import annotations

import io
import math
import numbers
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from backdrop._convert import enum_number
from backdrop._enums import HorizontalAlignment, OutputFormat, Priority, Scheduler, VerticalAlignment
from backdrop._types import Box, EarlyDropping, Fit, ImageSource, Size, StyleImage
from backdrop.errors import BackdropError, Reason, error
from backdrop.v1 import generation_service_pb2 as pb

if TYPE_CHECKING:
    from PIL import Image

_E = TypeVar("_E", Priority, Scheduler, OutputFormat, HorizontalAlignment, VerticalAlignment)

_UINT32 = 2**32 - 1
_UINT64 = 2**64 - 1
# What a PNG can hold as it is; everything else (CMYK, YCbCr, …) goes as RGB, as the server would read it.
_PNG_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16"})


def build_request(
    product: ImageSource,
    *,
    mask: ImageSource | None = None,
    prompt: str = "",
    negative_prompt: str = "",
    output_size: Size | None = None,
    placement: Fit | Box | None = None,
    variants: int = 1,
    top_k: int = 0,
    seed: int | None = None,
    steps: int | None = None,
    scheduler: Scheduler | str | None = None,
    guidance_scale: float | None = None,
    output_format: OutputFormat | str = OutputFormat.PNG,
    idempotency_key: str = "",
    preview_every: int = 0,
    pipeline: str = "",
    style_images: Sequence[ImageSource | StyleImage] = (),
    image_scale: float | None = None,
    priority: Priority | str = Priority.STANDARD,
    guidance_window: tuple[float, float] | None = None,
    early_dropping: EarlyDropping | Sequence[EarlyDropping] = (),
) -> pb.GenerateRequest:
    """Returns the request that says this; see `AsyncClient.generate` for what each argument means.

    Raises:
        InvalidRequestError: a value cannot be put on the wire: a wrong type, a file that cannot be read, a negative
            number, a word that is no scheduler, format or alignment. `field` names it.
    """
    request = pb.GenerateRequest(
        product=_picture(product, "product"),
        mask=b"" if mask is None else _picture(mask, "mask"),
        prompt=_text(prompt, "prompt"),
        negative_prompt=_text(negative_prompt, "negative_prompt"),
        variants=_integer(variants, "variants"),
        top_k=_integer(top_k, "top_k"),
        seed=None if seed is None else _integer(seed, "seed", _UINT64),
        steps=None if steps is None else _integer(steps, "steps"),
        guidance_scale=None if guidance_scale is None else _number(guidance_scale, "guidance_scale"),
        idempotency_key=_text(idempotency_key, "idempotency_key"),
        preview_every=_integer(preview_every, "preview_every"),
        pipeline=_text(pipeline, "pipeline"),
        style_images=_style(style_images),
        image_scale=None if image_scale is None else _number(image_scale, "image_scale"),
    )
    request.output_format = _enum(OutputFormat, output_format, "output_format", pb.OutputFormat)
    request.priority = _enum(Priority, priority, "priority", pb.Priority)
    if guidance_window is not None:
        request.guidance_window.CopyFrom(_window(guidance_window))
    request.early_dropping.extend(_dropping(early_dropping))
    if scheduler is not None:
        request.scheduler = _enum(Scheduler, scheduler, "scheduler", pb.Scheduler)
    if output_size is not None:
        request.output_size.CopyFrom(_size(output_size))
    if placement is not None:
        request.placement.CopyFrom(_placement(placement))
    return request


def _window(window: tuple[float, float]) -> pb.GuidanceWindow:
    try:
        start, stop = window
    except (TypeError, ValueError):
        raise _refusal("guidance_window", "must be a pair (start, stop) of fractions of the steps") from None
    return pb.GuidanceWindow(start=_number(start, "guidance_window.start"), stop=_number(stop, "guidance_window.stop"))


def _dropping(rounds: EarlyDropping | Sequence[EarlyDropping]) -> list[pb.EarlyDropping]:
    if isinstance(rounds, EarlyDropping):
        rounds = [rounds]
    if not isinstance(rounds, Sequence) or not all(isinstance(each, EarlyDropping) for each in rounds):
        raise _refusal("early_dropping", "must be an EarlyDropping, or a sequence of them")
    return [_round(each, f"early_dropping[{index}]") for index, each in enumerate(rounds)]


def _round(each: EarlyDropping, field: str) -> pb.EarlyDropping:
    message = pb.EarlyDropping(keep=_integer(each.keep, f"{field}.keep"))
    if each.after is not None:
        message.after = _number(each.after, f"{field}.after")
    if each.draft_steps is not None:
        message.draft_steps = _integer(each.draft_steps, f"{field}.draft_steps")
    return message


def _size(size: Size) -> pb.Size:
    try:
        width, height = size
    except (TypeError, ValueError):
        raise _refusal("output_size", "must be a pair (width, height) in pixels") from None
    return pb.Size(width=_integer(width, "output_size.width"), height=_integer(height, "output_size.height"))


def _placement(placement: Fit | Box) -> pb.Placement:
    if isinstance(placement, Box):
        parts = {name: getattr(placement, name) for name in ("x", "y", "width", "height")}
        return pb.Placement(box=pb.Box(**{k: _integer(v, f"placement.box.{k}") for k, v in parts.items()}))
    if not isinstance(placement, Fit):
        raise _refusal("placement", "must be a Fit or a Box")
    fit = pb.Fit()
    if placement.padding is not None:
        fit.padding = _number(placement.padding, "placement.fit.padding")
    fit.horizontal = _enum(
        HorizontalAlignment, placement.horizontal, "placement.fit.horizontal", pb.HorizontalAlignment
    )
    fit.vertical = _enum(VerticalAlignment, placement.vertical, "placement.fit.vertical", pb.VerticalAlignment)
    return pb.Placement(fit=fit)


def _style(pictures: Sequence[ImageSource | StyleImage]) -> list[pb.StyleImage]:
    # A path or an array alone is a sequence too, of characters or of rows: not what anybody means.
    if not isinstance(pictures, list | tuple):
        raise _refusal("style_images", "must be a list of pictures", Reason.INVALID_PICTURE)
    messages = []
    for index, picture in enumerate(pictures):
        field = f"style_images[{index}]"
        if isinstance(picture, StyleImage):
            weight = _number(picture.weight, f"{field}.weight")
            messages.append(pb.StyleImage(image=_picture(picture.picture, f"{field}.image"), weight=weight))
        else:
            messages.append(pb.StyleImage(image=_picture(picture, f"{field}.image")))
    return messages


def _picture(source: ImageSource, field: str) -> bytes:
    """Returns encoded bytes: files and bytes as they are, PIL images and arrays as PNG."""
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source)
    if isinstance(source, str | os.PathLike):
        try:
            return Path(source).read_bytes()
        except (OSError, ValueError) as exc:
            why = exc.strerror if isinstance(exc, OSError) and exc.strerror else "not a path"
            raise error(
                Reason.INVALID_PICTURE, f"{field}: cannot read the file {os.fspath(source)!r}: {why}.", field=field
            ) from None
    # A caller who passes an image has imported Pillow already, and an array comes from numpy: no cost for the others.
    from PIL import Image

    if isinstance(source, Image.Image):
        return _png(source)
    if hasattr(source, "__array_interface__"):
        return _png(_from_array(source, field))
    raise _refusal(field, "must be bytes, a path, a PIL image or a uint8 array", Reason.INVALID_PICTURE)


def _from_array(array: Any, field: str) -> Image.Image:
    from PIL import Image

    grey_or_colour = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))
    if array.dtype != "uint8" or not grey_or_colour or 0 in array.shape:
        raise _refusal(
            field,
            "an array must be uint8 of shape (height, width), (height, width, 3) or (height, width, 4)",
            Reason.INVALID_PICTURE,
        )
    return Image.fromarray(array)


def _png(image: Image.Image) -> bytes:
    from PIL import ImageOps

    # Saving drops the EXIF block, so its orientation has to be applied first: the server cannot see it any more.
    upright = ImageOps.exif_transpose(image)
    if upright.mode not in _PNG_MODES:
        upright = upright.convert("RGB")
    buffer = io.BytesIO()
    upright.save(buffer, "PNG", compress_level=1)  # the way to the server is short; packing tighter takes longer
    return buffer.getvalue()


def _text(value: str, field: str) -> str:
    if not isinstance(value, str):
        raise _refusal(field, f"must be text, not {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError:
        reason = Reason.INVALID_PROMPT if field.endswith("prompt") else Reason.INVALID_MESSAGE
        raise _refusal(field, "holds half a character (a lone surrogate), which UTF-8 cannot carry", reason) from None
    return value


def _integer(value: int, field: str, most: int = _UINT32) -> int:
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise _refusal(field, f"must be a whole number, not {value!r}")
    if not 0 <= value <= most:
        raise _refusal(field, f"must be from 0 to {most}, not {value}")
    return int(value)


def _number(value: float, field: str) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise _refusal(field, f"must be a number, not {value!r}")
    if math.isfinite(value) and abs(value) > 3.4e38:
        raise _refusal(field, f"is too large for a 32-bit float: {value}")
    return float(value)


def _enum(cls: type[_E], value: _E | str, field: str, wrapper: Any) -> Any:
    try:
        return enum_number(cls(value), wrapper)
    except ValueError:
        words = ", ".join(member.value for member in cls if member.name != "UNKNOWN")
        raise _refusal(field, f"must be one of {words}; not {value!r}", Reason.UNKNOWN_VALUE) from None


def _refusal(field: str, problem: str, reason: Reason = Reason.OUT_OF_RANGE) -> BackdropError:
    return error(reason, f"{field} {problem}.", field=field)

"""Python values to what a request's fields hold; refuses only what cannot be sent, the server judges the rest.

Each public function takes a value and the path of its field, which its refusals name.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from backdrop._convert import enum_number
from backdrop._enums import HorizontalAlignment, OutputFormat, Priority, Scheduler, ShadowKind, Snap, VerticalAlignment
from backdrop._pictures import encode_picture as picture
from backdrop._types import (
    Adapter,
    Box,
    EarlyDropping,
    Fit,
    ImageSource,
    Layout,
    Margins,
    Product,
    Sides,
    Size,
    StyleImage,
)
from backdrop.errors import BackdropError, Reason, error
from backdrop.v1 import generation_service_pb2 as pb

_E = TypeVar("_E", Priority, Scheduler, OutputFormat, HorizontalAlignment, ShadowKind, Snap, VerticalAlignment)

_UINT32 = 2**32 - 1
_UINT64 = 2**64 - 1


def text(value: str, field: str) -> str:
    """Text that UTF-8 can carry."""
    if not isinstance(value, str):
        raise _refusal(field, f"must be text, not {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError:
        reason = Reason.INVALID_PROMPT if field.endswith("prompt") else Reason.INVALID_MESSAGE
        raise _refusal(field, "holds half a character (a lone surrogate), which UTF-8 cannot carry", reason) from None
    return value


def texts(value: Sequence[str], field: str) -> list[str]:
    """A list of texts."""
    if not isinstance(value, list | tuple):  # one text alone is a sequence too, of characters
        raise _refusal(field, "must be a list of texts")
    return [text(each, f"{field}[{index}]") for index, each in enumerate(value)]


def integer(value: int, field: str, most: int = _UINT32) -> int:
    """A whole number that fits 32 bits without sign."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise _refusal(field, f"must be a whole number, not {value!r}")
    if not 0 <= value <= most:
        raise _refusal(field, f"must be from 0 to {most}, not {value}")
    return int(value)


def seed(value: int, field: str) -> int:
    """A whole number that fits 64 bits without sign."""
    return integer(value, field, _UINT64)


def number(value: float, field: str) -> float:
    """A number that fits a 32-bit float."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise _refusal(field, f"must be a number, not {value!r}")
    if math.isfinite(value) and abs(value) > 3.4e38:
        raise _refusal(field, f"is too large for a 32-bit float: {value}")
    return float(value)


def seconds(value: float, field: str) -> float:
    """A time above zero."""
    if not number(value, field) > 0:
        raise _refusal(field, f"must be above 0 seconds, not {value}")
    return float(value)


def scheduler(value: Scheduler | str, field: str) -> int:
    """The number of a solver."""
    return int(_enum(Scheduler, value, field, pb.Scheduler))


def output_format(value: OutputFormat | str, field: str) -> int:
    """The number of an encoding."""
    return int(_enum(OutputFormat, value, field, pb.OutputFormat))


def priority(value: Priority | str, field: str) -> int:
    """The number of a class."""
    return int(_enum(Priority, value, field, pb.Priority))


def window(value: tuple[float, float], field: str) -> pb.GuidanceWindow:
    """A part of the steps."""
    try:
        start, stop = value
    except (TypeError, ValueError):
        raise _refusal(field, "must be a pair (start, stop) of fractions of the steps") from None
    return pb.GuidanceWindow(start=number(start, f"{field}.start"), stop=number(stop, f"{field}.stop"))


def early_dropping(rounds: EarlyDropping | Sequence[EarlyDropping], field: str) -> list[pb.EarlyDropping]:
    """One round or several."""
    if isinstance(rounds, EarlyDropping):
        rounds = [rounds]
    if not isinstance(rounds, Sequence) or not all(isinstance(each, EarlyDropping) for each in rounds):
        raise _refusal(field, "must be an EarlyDropping, or a sequence of them")
    return [_round(each, f"{field}[{index}]") for index, each in enumerate(rounds)]


def _round(each: EarlyDropping, field: str) -> pb.EarlyDropping:
    message = pb.EarlyDropping(keep=integer(each.keep, f"{field}.keep"))
    if each.after is not None:
        message.after = number(each.after, f"{field}.after")
    if each.draft_steps is not None:
        message.draft_steps = integer(each.draft_steps, f"{field}.draft_steps")
    return message


def size(value: Size, field: str) -> pb.Size:
    """Width and height in pixels."""
    try:
        width, height = value
    except (TypeError, ValueError):
        raise _refusal(field, "must be a pair (width, height) in pixels") from None
    return pb.Size(width=integer(width, f"{field}.width"), height=integer(height, f"{field}.height"))


def margins(value: Margins, field: str) -> pb.Margins:
    """Pixels on each side."""
    return pb.Margins(**_pixels(value, Margins, field))


def aspect_ratio(value: tuple[int, int], field: str) -> pb.AspectRatio:
    """Two whole numbers."""
    try:
        width, height = value
    except (TypeError, ValueError):
        raise _refusal(field, "must be a pair (width, height) of whole numbers") from None
    return pb.AspectRatio(width=integer(width, f"{field}.width"), height=integer(height, f"{field}.height"))


def box(value: Box, field: str) -> pb.Box:
    """A rectangle."""
    return pb.Box(**_pixels(value, Box, field))


def horizontal(value: HorizontalAlignment | str, field: str) -> Any:
    """The number of an alignment from left to right."""
    return _enum(HorizontalAlignment, value, field, pb.HorizontalAlignment)


def vertical(value: VerticalAlignment | str, field: str) -> Any:
    """The number of an alignment from top to bottom."""
    return _enum(VerticalAlignment, value, field, pb.VerticalAlignment)


def shadow_kind(value: ShadowKind | str, field: str) -> int:
    """The number of a kind of shadow."""
    return int(_enum(ShadowKind, value, field, pb.ShadowKind))


def placement(value: Fit | Box, field: str) -> pb.Placement:
    """One of the two ways of placing."""
    if isinstance(value, Box):
        return pb.Placement(box=box(value, f"{field}.box"))
    if not isinstance(value, Fit):
        raise _refusal(field, "must be a Fit or a Box")
    fit = pb.Fit()
    if value.padding is not None:
        fit.padding = number(value.padding, f"{field}.fit.padding")
    fit.horizontal = horizontal(value.horizontal, f"{field}.fit.horizontal")
    fit.vertical = vertical(value.vertical, f"{field}.fit.vertical")
    for name in ("padding_sides", "margin"):
        each = getattr(value, name)
        if each is not None:
            getattr(fit, name).CopyFrom(sides(each, f"{field}.fit.{name}"))
    fit.keep_size = bool(value.keep_size)
    if isinstance(value.snap, str) or not isinstance(value.snap, Sequence):
        raise _refusal(f"{field}.fit.snap", "must be a list of sides")
    fit.snap.extend(_enum(Snap, each, f"{field}.fit.snap[{index}]", pb.Snap) for index, each in enumerate(value.snap))
    if value.area is not None:
        fit.area.CopyFrom(box(value.area, f"{field}.fit.area"))
    return pb.Placement(fit=fit)


def sides(value: Sides, field: str) -> pb.Sides:
    """Free space of single sides."""
    if not isinstance(value, Sides):
        raise _refusal(field, "must be a Sides")
    space = dataclasses.asdict(value).items()
    return pb.Sides(**{side: number(each, f"{field}.{side}") for side, each in space if each is not None})


def products(value: Sequence[Product], field: str) -> list[pb.Product]:
    """Photos with their masks and placements."""
    if not isinstance(value, list | tuple) or not all(isinstance(each, Product) for each in value):
        raise _refusal(field, "must be a list of Products")
    messages = []
    for index, each in enumerate(value):
        path = f"{field}[{index}]"
        message = pb.Product(product=picture(each.product, f"{path}.product"))
        if each.mask is not None:
            message.mask = picture(each.mask, f"{path}.mask")
        if each.placement is not None:
            message.placement.CopyFrom(placement(each.placement, f"{path}.placement"))
        messages.append(message)
    return messages


def layouts(value: Sequence[Layout], field: str) -> list[pb.Layout]:
    """Sizes or shapes, and placements."""
    if not isinstance(value, list | tuple) or not all(isinstance(each, Layout) for each in value):
        raise _refusal(field, "must be a list of Layouts")
    messages = []
    for index, each in enumerate(value):
        path, message = f"{field}[{index}]", pb.Layout()
        if each.size is not None and each.aspect_ratio is not None:
            raise error(Reason.FIELD_NOT_TAKEN, f"{path} has a size and an aspect ratio; leave one out.", field=path)
        if each.size is not None:
            message.size.CopyFrom(size(each.size, f"{path}.size"))
        if each.aspect_ratio is not None:
            message.aspect_ratio.CopyFrom(aspect_ratio(each.aspect_ratio, f"{path}.aspect_ratio"))
        if each.placement is not None:
            message.placement.CopyFrom(placement(each.placement, f"{path}.placement"))
        messages.append(message)
    return messages


def style_images(pictures: Sequence[ImageSource | StyleImage], field: str) -> list[pb.StyleImage]:
    """Pictures, some of them with weights."""
    # A path or an array alone is a sequence too, of characters or of rows: not what anybody means.
    if not isinstance(pictures, list | tuple):
        raise _refusal(field, "must be a list of pictures", Reason.INVALID_PICTURE)
    messages = []
    for index, each in enumerate(pictures):
        path = f"{field}[{index}]"
        if isinstance(each, StyleImage):
            weight = number(each.weight, f"{path}.weight")
            messages.append(pb.StyleImage(image=picture(each.picture, f"{path}.image"), weight=weight))
        else:
            messages.append(pb.StyleImage(image=picture(each, f"{path}.image")))
    return messages


def adapters(value: Mapping[str, float] | Sequence[Adapter | str], field: str) -> list[pb.Adapter]:
    """Names with weights, or a list of names and adapters."""
    each: list[Any]
    if isinstance(value, Mapping):
        each = [Adapter(name, weight) for name, weight in value.items()]
    elif isinstance(value, list | tuple):  # one name alone is a sequence too, of characters
        each = [Adapter(one) if isinstance(one, str) else one for one in value]
    else:
        raise _refusal(field, "must be a dict of names and weights, or a list of names and Adapters")
    messages = []
    for index, adapter in enumerate(each):
        path = f"{field}[{index}]"
        if not isinstance(adapter, Adapter):
            raise _refusal(path, f"must be a name or an Adapter, not {type(adapter).__name__}")
        name, weight = text(adapter.name, f"{path}.name"), number(adapter.weight, f"{path}.weight")
        messages.append(pb.Adapter(name=name, weight=weight))
    return messages


def _pixels(value: Margins | Box, kind: type[Margins | Box], field: str) -> dict[str, int]:
    """The fields of a dataclass of whole pixels."""
    if not isinstance(value, kind):
        raise _refusal(field, f"must be a {kind.__name__}")
    return {name: integer(pixels, f"{field}.{name}") for name, pixels in dataclasses.asdict(value).items()}


def _enum(cls: type[_E], value: _E | str, field: str, wrapper: Any) -> Any:
    try:
        return enum_number(cls(value), wrapper)
    except ValueError:
        words = ", ".join(member.value for member in cls if member.name != "UNKNOWN")
        raise _refusal(field, f"must be one of {words}; not {value!r}", Reason.UNKNOWN_VALUE) from None


def _refusal(field: str, problem: str, reason: Reason = Reason.OUT_OF_RANGE) -> BackdropError:
    return error(reason, f"{field} {problem}.", field=field)

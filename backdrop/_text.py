"""Values of command-line flags that need reading: sizes, rectangles, windows, style pictures and adapters with weights.

Each function takes the path of the field that the flags set, which its refusals name, and the values of the flags.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from backdrop._enums import HorizontalAlignment, VerticalAlignment
from backdrop._types import Adapter, Box, EarlyDropping, Fit, Layout, Margins, Product, Sides, Size, StyleImage
from backdrop.errors import Reason, error

_FOUR_NUMBERS = re.compile(r"(\d{1,6}),(\d{1,6}),(\d{1,6}),(\d{1,6})")


def parse_size(path: str, text: str | None) -> Size | None:
    """Reads "WIDTHxHEIGHT"; None stays None. Raises InvalidRequestError."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,6})[x×](\d{1,6})", text.strip(), re.IGNORECASE)
    if match is None:
        message = f"{text!r} is not a size; write WIDTHxHEIGHT in pixels, for example 1024x768."
        raise error(Reason.INVALID_SIZE, message, field=path)
    return int(match[1]), int(match[2])


def parse_placement(
    path: str,
    padding: str | None,
    margin: str | None,
    align: HorizontalAlignment | None,
    valign: VerticalAlignment | None,
    keep_size: bool | None,
    snap: str | None,
    box: str | None,
) -> Fit | Box | None:
    """Returns the placement that the flags describe, None for none. Raises InvalidRequestError."""
    fits = any(value is not None for value in (padding, margin, align, valign, keep_size, snap))
    if box is not None:
        if fits:
            message = "--box sets the product's place; --padding, --align and the other flags cannot set it too."
            raise error(Reason.INVALID_PLACEMENT, message, field=f"{path}.box")
        return parse_box(f"{path}.box", box)
    if not fits:
        return None
    paddings = _parse_sides(f"{path}.fit.padding", padding)
    return Fit(
        paddings if isinstance(paddings, float) else None,
        align or HorizontalAlignment.CENTER,
        valign or VerticalAlignment.CENTER,
        padding_sides=paddings if isinstance(paddings, Sides) else None,
        margin=_as_sides(_parse_sides(f"{path}.fit.margin", margin)),
        keep_size=bool(keep_size),
        snap=tuple(side.strip() for side in snap.split(",")) if snap else (),
    )


def _parse_sides(path: str, text: str | None) -> Sides | float | None:
    """Reads "SPACE" or "LEFT,TOP,RIGHT,BOTTOM"; None stays None. Raises InvalidRequestError."""
    if text is None:
        return None
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) == 1:
        return numbers[0]
    if len(numbers) == 4:
        return Sides(*numbers)
    message = f"{text!r} is no free space; write one fraction of the shorter side, or LEFT,TOP,RIGHT,BOTTOM."
    raise error(Reason.INVALID_PLACEMENT, message, field=path)


def _as_sides(space: Sides | float | None) -> Sides | None:
    return Sides(space, space, space, space) if isinstance(space, float) else space


def parse_box(path: str, text: str | None) -> Box | None:
    """Reads "X,Y,WIDTH,HEIGHT"; None stays None. Raises InvalidRequestError."""
    if text is None:
        return None
    match = _FOUR_NUMBERS.fullmatch(text.replace(" ", ""))
    if match is None:
        message = f"{text!r} is not a rectangle; write X,Y,WIDTH,HEIGHT in pixels."
        raise error(Reason.INVALID_PLACEMENT, message, field=path)
    return Box(*(int(number) for number in match.groups()))


def parse_margins(path: str, text: str | None) -> Margins | None:
    """Reads "LEFT,TOP,RIGHT,BOTTOM"; None stays None. Raises InvalidRequestError."""
    if text is None:
        return None
    match = _FOUR_NUMBERS.fullmatch(text.replace(" ", ""))
    if match is None:
        message = f"{text!r} are no margins; write LEFT,TOP,RIGHT,BOTTOM in pixels, for example 0,0,200,0."
        raise error(Reason.OUT_OF_RANGE, message, field=path)
    return Margins(*(int(number) for number in match.groups()))


def parse_ratio(path: str, text: str | None) -> tuple[int, int] | None:
    """Reads "WIDTH:HEIGHT"; None stays None. Raises InvalidRequestError."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,3})[:/x×](\d{1,3})", text.strip(), re.IGNORECASE)
    if match is None:
        message = f"{text!r} is not an aspect ratio; write WIDTH:HEIGHT, for example 16:9."
        raise error(Reason.OUT_OF_RANGE, message, field=path)
    return int(match[1]), int(match[2])


def parse_window(path: str, text: str | None) -> tuple[float, float] | None:
    """Reads "START-STOP", fractions of the steps; None stays None. Raises InvalidRequestError."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d*\.?\d+)\s*-\s*(\d*\.?\d+)", text.strip())
    if match is None:
        message = f"{text!r} is not a part of the steps; write START-STOP as fractions, for example 0.0-0.7."
        raise error(Reason.OUT_OF_RANGE, message, field=path)
    return float(match[1]), float(match[2])


def parse_keep(path: str, text: str | None) -> tuple[EarlyDropping, ...] | None:
    """Reads "N", "N@AFTER" or "N@draftSTEPS", several separated by commas; None stays None.

    Raises InvalidRequestError.
    """
    if text is None:
        return None
    rounds = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d+)(?:@(?:draft(\d+)|(\d*\.?\d+)))?", part.strip())
        if match is None:
            forms = "write N, N@AFTER or N@draftSTEPS, as 3@draft6 or 5@0.4,3@0.6"
            message = f"{text!r} does not say how many variants continue; {forms}."
            raise error(Reason.OUT_OF_RANGE, message, field=path)
        keep, steps, after = match.groups()
        rounds.append(EarlyDropping(int(keep), float(after) if after else None, int(steps) if steps else None))
    return tuple(rounds)


def parse_styles(path: str, texts: Sequence[str] | None) -> list[StyleImage] | None:
    """Reads each as `parse_style`; None stays None."""
    return [parse_style(text) for text in texts] if texts else None


def parse_adapters(path: str, texts: Sequence[str] | None) -> list[Adapter] | None:
    """Reads each "NAME" or "NAME:WEIGHT"; None stays None. Raises InvalidRequestError."""
    if not texts:
        return None
    adapters = []
    for index, text in enumerate(texts):
        name, colon, weight = text.partition(":")
        try:
            adapters.append(Adapter(name, float(weight) if colon else 1.0))
        except ValueError:
            message = f"{text!r} is not an adapter; write NAME or NAME:WEIGHT, for example aurelia:0.8."
            raise error(Reason.OUT_OF_RANGE, message, field=f"{path}[{index}].weight") from None
    return adapters


def parse_products(path: str, texts: Sequence[str] | None) -> list[Product] | None:
    """Reads each "PHOTO@X,Y,WIDTH,HEIGHT" or "PHOTO+MASK@…"; None stays None. Raises InvalidRequestError."""
    if not texts:
        return None
    products = []
    for index, text in enumerate(texts):
        files, _, box = text.rpartition("@")
        place = parse_box(f"{path}[{index}].placement.box", box)
        photo, plus, mask = files.rpartition("+")
        if plus and not Path(files).exists():
            products.append(Product(Path(photo), Path(mask), place))
        else:
            products.append(Product(Path(files), None, place))
    return products


def parse_palette(path: str, text: str | None) -> list[str] | None:
    """Reads colours, separated by commas; None stays None."""
    return None if text is None else [colour.strip() for colour in text.split(",")]


def parse_layouts(path: str, texts: Sequence[str] | None) -> list[Layout] | None:
    """Reads each "WIDTHxHEIGHT" or "WIDTH:HEIGHT"; None stays None. Raises InvalidRequestError."""
    if not texts:
        return None
    return [
        Layout(aspect_ratio=parse_ratio(f"{path}[{index}].aspect_ratio", text))
        if ":" in text
        else Layout(parse_size(f"{path}[{index}].size", text))
        for index, text in enumerate(texts)
    ]


def every_second_step(path: str, previews: bool | None) -> int | None:
    """Reads the flag that turns previews on; None stays None."""
    return 2 if previews else None


def parse_style(text: str) -> StyleImage:
    """Reads "PICTURE" or "PICTURE:WEIGHT".

    A colon belongs to the path when a file has the whole text as its name, and when no number follows the last colon
    (a Windows drive).
    """
    path, colon, weight = text.rpartition(":")
    if colon and path and not Path(text).exists():
        try:
            return StyleImage(Path(path), float(weight))
        except ValueError:
            pass
    return StyleImage(Path(text))

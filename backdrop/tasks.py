"""The tasks: what a generation makes. Each class is one message of `GenerateRequest.task`.

Requests, the command line and the docs follow from the annotations here; which fields a task needs and which it does
not take is said in `backdrop.contract.rules`.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, ClassVar

from backdrop import _text as text
from backdrop import _wire as wire
from backdrop._background import Background
from backdrop._describe import Flag, Option
from backdrop._enums import HorizontalAlignment, VerticalAlignment
from backdrop._light import Relight, Shadow
from backdrop._pictures import encode_picture
from backdrop._task import Task
from backdrop._types import Box, ImageSource, Margins


def _picture_of(task: str) -> Option:
    """The picture of a task that drops its alpha channel."""
    meaning = "The picture: PNG, JPEG or WebP, at most 16 megapixels and 16 MiB. An alpha channel is dropped."
    return Option(f"{task}.picture", encode_picture, meaning, (Flag("--picture", Path),))


@dataclasses.dataclass(frozen=True, eq=False)
class TextToImage(Task):
    """A whole picture from the prompt, or from style pictures: nothing is kept, everything is made."""

    name: ClassVar[str] = "text_to_image"


@dataclasses.dataclass(frozen=True, eq=False)
class Erase(Task):
    """A picture without something that is in it: what the mask marks is filled from its surroundings."""

    name: ClassVar[str] = "erase"

    picture: Annotated[
        ImageSource,
        _picture_of("erase"),
    ] = dataclasses.field(repr=False)
    mask: Annotated[
        ImageSource,
        Option(
            "erase.mask",
            wire.picture,
            "What to erase, of the upright picture's size: 255 (white) = erase, 0 (black) = keep, between = soft edge.",
            (Flag("--mask", Path),),
        ),
    ] = dataclasses.field(repr=False)
    grow: Annotated[
        int | None,
        Option(
            "erase.grow",
            wire.integer,
            "By how many pixels the mask is widened on every side, 0 to 64. Default: 1/64 of the longer side, and 5/64"
            " around the foot of what is marked, where shadows lie.",
            (Flag("--grow", int),),
        ),
    ] = None


@dataclasses.dataclass(frozen=True, eq=False)
class Fill(Task):
    """A picture with something new inside a mask, as the prompt says; all other pixels are kept."""

    name: ClassVar[str] = "fill"

    picture: Annotated[
        ImageSource,
        _picture_of("fill"),
    ] = dataclasses.field(repr=False)
    mask: Annotated[
        ImageSource,
        Option(
            "fill.mask",
            wire.picture,
            "Where to make new pixels, of the upright picture's size: 255 (white) = make, 0 (black) = keep, between ="
            " soft edge.",
            (Flag("--mask", Path),),
        ),
    ] = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True, eq=False)
class Vary(Task):
    """A picture again, near to it or far from it: the noise starts from the picture, and no pixel is kept exactly."""

    name: ClassVar[str] = "vary"

    picture: Annotated[
        ImageSource,
        _picture_of("vary"),
    ] = dataclasses.field(repr=False)
    strength: Annotated[
        float | None,
        Option(
            "vary.strength",
            wire.number,
            "How far the result may go from the picture, 0.0 (not at all) to 1.0 (the picture has no influence)."
            " Default: 0.6.",
            (Flag("--strength", float),),
        ),
    ] = None


@dataclasses.dataclass(frozen=True, eq=False)
class Expand(Task):
    """A picture that continues on its sides; all of its own pixels are kept.

    How large it becomes: `margins`, `aspect_ratio`, or the option `output_size`.
    """

    name: ClassVar[str] = "expand"

    picture: Annotated[
        ImageSource,
        _picture_of("expand"),
    ] = dataclasses.field(repr=False)
    margins: Annotated[
        Margins | None,
        Option(
            "expand.margins",
            wire.margins,
            "Pixels to add on each side, 0 to 8192: `Margins(right=200)`, on the command line LEFT,TOP,RIGHT,BOTTOM."
            " Default: none.",
            (Flag("--margins", metavar="L,T,R,B", help="Pixels to add on each side, 0 to 8192 each. Default: none."),),
            text.parse_margins,
        ),
    ] = None
    aspect_ratio: Annotated[
        tuple[int, int] | None,
        Option(
            "expand.aspect_ratio",
            wire.aspect_ratio,
            "The shape of the result, which is as small as it can be around the whole picture: `(16, 9)`, on the"
            " command line 16:9. Default: none.",
            (
                Flag(
                    "--aspect-ratio",
                    metavar="W:H",
                    help="The shape of the result, which is as small as it can be around the whole picture."
                    " Default: none.",
                ),
            ),
            text.parse_ratio,
        ),
    ] = None
    box: Annotated[
        Box | None,
        Option(
            "expand.box",
            wire.box,
            "Where the picture lies in a result of the output size: `Box(…)`, on the command line X,Y,WIDTH,HEIGHT."
            " Default: where the alignments say, at its own size or smaller.",
            (
                Flag(
                    "--box",
                    metavar="X,Y,W,H",
                    help="Where the picture lies in a result of the size that --size says. Default: where the"
                    " alignments say, at its own size or smaller.",
                ),
            ),
            text.parse_box,
        ),
    ] = None
    horizontal: Annotated[
        HorizontalAlignment | None,
        Option(
            "expand.horizontal",
            wire.horizontal,
            "Where the picture lies from left to right, with an aspect ratio or an output size. Default: center.",
            (Flag("--align", HorizontalAlignment),),
        ),
    ] = None
    vertical: Annotated[
        VerticalAlignment | None,
        Option(
            "expand.vertical",
            wire.vertical,
            "Where the picture lies from top to bottom. Default: center.",
            (Flag("--valign", VerticalAlignment),),
        ),
    ] = None


@dataclasses.dataclass(frozen=True, eq=False)
class Upscale(Task):
    """A picture at two or four times its size, sharper than by resampling; an alpha channel is enlarged too."""

    name: ClassVar[str] = "upscale"

    picture: Annotated[
        ImageSource,
        Option(
            "upscale.picture",
            wire.picture,
            "The picture: PNG, JPEG or WebP, at most 16 megapixels and 16 MiB. A JPEG result has no alpha channel.",
            (Flag("--picture", Path),),
        ),
    ] = dataclasses.field(repr=False)
    factor: Annotated[
        int | None,
        Option(
            "upscale.factor",
            wire.integer,
            "How many times as wide and as high the result is: 2 or 4. Default: 2.",
            (Flag("--factor", int),),
        ),
    ] = None


TASKS: dict[str, type[Task]] = {
    task.name: task for task in (Background, TextToImage, Erase, Fill, Vary, Expand, Shadow, Relight, Upscale)
}
"""Every task by its name in the contract."""

__all__ = [
    "TASKS",
    "Background",
    "Erase",
    "Expand",
    "Fill",
    "Relight",
    "Shadow",
    "Task",
    "TextToImage",
    "Upscale",
    "Vary",
]

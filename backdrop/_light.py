"""The tasks that are about a product's light, each a message of `GenerateRequest.task`: shadow and relight."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, ClassVar

from backdrop import _wire as wire
from backdrop._describe import Flag, Option
from backdrop._enums import ShadowKind
from backdrop._pictures import encode_picture
from backdrop._task import Task
from backdrop._types import ImageSource


def _picture_of(task: str) -> Option:
    """The picture of a task whose alpha channel is the product's mask."""
    meaning = "The picture, with the product in its place: PNG, JPEG or WebP, at most 16 megapixels and 16 MiB."
    return Option(f"{task}.picture", encode_picture, meaning, (Flag("--picture", Path),))


def _product_of(task: str) -> Option:
    """The mask of the product in a task's picture."""
    meaning = (
        "Where the product is, of the picture's size: 255 (white) = product, 0 (black) = anything else."
        " Default: the picture's alpha channel, else made by the pipeline's segmenter, if it has one."
    )
    return Option(f"{task}.mask", encode_picture, meaning, (Flag("--mask", Path),))


@dataclasses.dataclass(frozen=True, eq=False)
class Shadow(Task):
    """A shadow under a product on any scene, computed from the product's outline; the product is kept."""

    name: ClassVar[str] = "shadow"

    picture: Annotated[
        ImageSource,
        _picture_of("shadow"),
    ] = dataclasses.field(repr=False)
    mask: Annotated[
        ImageSource | None,
        _product_of("shadow"),
    ] = dataclasses.field(default=None, repr=False)
    kind: Annotated[
        ShadowKind | str | None,
        Option(
            "shadow.kind",
            wire.shadow_kind,
            "A contact shadow (soft light), or also a cast one (a lamp or the sun). Default: contact.",
            (Flag("--kind", ShadowKind),),
        ),
    ] = None
    direction: Annotated[
        float | None,
        Option(
            "shadow.direction",
            wire.number,
            "Where it falls, in degrees on the ground: 0 = to the right, 90 = towards the viewer, 180 = to the left,"
            " 270 = away from the viewer. Default: 0.",
            (Flag("--direction", float),),
        ),
    ] = None
    softness: Annotated[
        float | None,
        Option(
            "shadow.softness",
            wire.number,
            "From 0.0 (a sharp edge) to 1.0. Default: 0.5.",
            (Flag("--softness", float),),
        ),
    ] = None
    intensity: Annotated[
        float | None,
        Option(
            "shadow.intensity",
            wire.number,
            "From 0.0 (no shadow) to 1.0 (black at its darkest). Default: 0.5.",
            (Flag("--intensity", float),),
        ),
    ] = None
    length: Annotated[
        float | None,
        Option(
            "shadow.length",
            wire.number,
            "How long a cast shadow is, as a multiple of the product's height, 0.0 to 3.0. Default: 0.6.",
            (Flag("--length", float),),
        ),
    ] = None


@dataclasses.dataclass(frozen=True, eq=False)
class Relight(Task):
    """A product that fits into its scene: its border, and perhaps its light, take on the scene's colours.

    The only task that changes a product; `Receipt.changes` says where and how much.
    """

    name: ClassVar[str] = "relight"

    picture: Annotated[
        ImageSource,
        _picture_of("relight"),
    ] = dataclasses.field(repr=False)
    mask: Annotated[
        ImageSource | None,
        _product_of("relight"),
    ] = dataclasses.field(default=None, repr=False)
    band: Annotated[
        int | None,
        Option(
            "relight.band",
            wire.integer,
            "How far inwards from its edge the product may change, in pixels, 1 to 64. Default: 1/32 of the longer"
            " side, at most 64.",
            (Flag("--band", int),),
        ),
    ] = None
    strength: Annotated[
        float | None,
        Option(
            "relight.strength",
            wire.number,
            "How far the colours at the edge go towards those of the scene, 0.0 to 1.0. Default: 0.7.",
            (Flag("--strength", float),),
        ),
    ] = None
    light: Annotated[
        float | None,
        Option(
            "relight.light",
            wire.number,
            "How far the whole product takes on the scene's light, its colour and its brightness, 0.0 to 1.0."
            " Default: 0.0.",
            (Flag("--light", float),),
        ),
    ] = None

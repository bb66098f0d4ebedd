"""Expanding: sizes and places follow from margins, a shape or a size, and no pixel of the picture changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from backdrop.contract.expansion import Extent, Margins, expanded_canvas, expanded_size, read_extent
from backdrop.contract.geometry import Rect, Size
from backdrop.errors import InvalidRequestError, Reason
from backdrop.v1 import generation_service_pb2 as pb
from tests.pictures import noisy_photo

PICTURE = Size(40, 30)
MOST = 1_000_000


@pytest.mark.parametrize(
    ("extent", "size", "box"),
    [
        (Extent(Margins(1, 2, 3, 4)), Size(44, 36), Rect(1, 2, 40, 30)),
        (Extent(ratio=2.0), Size(60, 30), Rect(10, 0, 40, 30)),
        (Extent(ratio=0.5, vertical=1.0), Size(40, 80), Rect(0, 50, 40, 30)),
        (Extent(ratio=2.0, horizontal=0.0), Size(60, 30), Rect(0, 0, 40, 30)),
        (Extent(size=Size(100, 50)), Size(100, 50), Rect(30, 10, 40, 30)),
        (Extent(size=Size(20, 30)), Size(20, 30), Rect(0, 8, 20, 15)),
        (Extent(size=Size(100, 90), box=Rect(10, 10, 80, 60)), Size(100, 90), Rect(10, 10, 80, 60)),
        (Extent(size=Size(100, 90), box=Rect(10, 10, 80, 80)), Size(100, 90), Rect(10, 20, 80, 60)),
    ],
)
def test_where_the_picture_lies(extent: Extent, size: Size, box: Rect) -> None:
    assert extent.place(PICTURE) == (size, box)
    assert expanded_size(extent, PICTURE, MOST) == size


@pytest.mark.parametrize("extent", [Extent(Margins(5, 0, 3, 9)), Extent(ratio=1.0), Extent(size=Size(64, 64))])
def test_the_picture_is_known_to_its_last_bit(extent: Extent) -> None:
    picture = noisy_photo(40, 30)
    canvas = expanded_canvas(picture, extent)
    size, box = extent.place(PICTURE)
    assert canvas.size == size
    inside = np.s_[box.y : box.y + box.height, box.x : box.x + box.width]
    assert (canvas.known[inside] == picture).all()
    assert not canvas.make[inside].any()
    assert int((canvas.make == 255).sum()) == size.pixels - PICTURE.pixels
    assert canvas.kept is not None
    assert (canvas.kept.box, canvas.kept.unscaled) == (box, True)


def test_a_scaled_picture_is_not_called_unscaled() -> None:
    canvas = expanded_canvas(noisy_photo(40, 30), Extent(size=Size(20, 30)))
    assert canvas.kept is not None
    assert not canvas.kept.unscaled


@pytest.mark.parametrize(
    ("extent", "field"),
    [
        (Extent(Margins(0, 0, 0, 0)), "expand.margins"),
        (Extent(ratio=4 / 3), "expand.aspect_ratio"),
        (Extent(size=Size(40, 30)), "delivery.size"),
        (Extent(Margins(8192, 0, 0, 0)), "expand.margins"),
        (Extent(Margins(1000, 1000, 0, 0)), "expand.margins"),
        (Extent(ratio=100.0), "expand.aspect_ratio"),
    ],
)
def test_results_that_are_too_large_or_nothing_new_are_refused(extent: Extent, field: str) -> None:
    picture = Size(400, 300) if extent.ratio == 100.0 else PICTURE
    with pytest.raises(InvalidRequestError) as caught:
        expanded_size(extent, picture, MOST)
    assert (caught.value.reason, caught.value.field) == (Reason.INVALID_SIZE, field)


@pytest.mark.parametrize(
    ("message", "size", "reason", "field"),
    [
        ({}, None, Reason.MISSING_FIELD, "expand.margins"),
        ({"box": pb.Box(width=2, height=2)}, None, Reason.MISSING_FIELD, "delivery.size"),
        ({"margins": pb.Margins(left=1)}, Size(9, 9), Reason.FIELD_NOT_TAKEN, "delivery.size"),
        ({"aspect_ratio": pb.AspectRatio(width=1, height=1)}, Size(9, 9), Reason.FIELD_NOT_TAKEN, "delivery.size"),
        ({"margins": pb.Margins(bottom=8193)}, None, Reason.OUT_OF_RANGE, "expand.margins.bottom"),
        ({"aspect_ratio": pb.AspectRatio(width=1)}, None, Reason.OUT_OF_RANGE, "expand.aspect_ratio.height"),
        ({"box": pb.Box(x=5, width=5, height=5)}, Size(9, 9), Reason.INVALID_PLACEMENT, "expand.box"),
        ({"horizontal": 9}, Size(9, 9), Reason.UNKNOWN_VALUE, "expand.horizontal"),
    ],
)
def test_what_does_not_say_how_large_it_becomes_is_refused(
    message: dict[str, Any], size: Size | None, reason: Reason, field: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read_extent(pb.ExpandTask(**message), size)
    assert (caught.value.reason, caught.value.field) == (reason, field)


def test_alignments_are_read() -> None:
    message = pb.ExpandTask(horizontal=pb.HORIZONTAL_ALIGNMENT_RIGHT, vertical=pb.VERTICAL_ALIGNMENT_TOP)
    extent = read_extent(message, Size(50, 50))
    assert extent.place(PICTURE)[1] == Rect(10, 0, 40, 30)

"""Background: the product's placement is read, its mask is checked, and its frame keeps it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from backdrop.contract.canvas import MaskSource
from backdrop.contract.geometry import Fit, Rect, Size
from backdrop.contract.parts import Delivery
from backdrop.contract.softness import SoftBorder
from backdrop.errors import InvalidRequestError, Reason
from backdrop.v1 import generation_service_pb2 as pb
from backdrop.v1 import info_service_pb2 as info_pb
from orchestrator.tasks.background import Arrangement, check, frame, layouts, read
from orchestrator.tasks.task import MaskedPicture, TaskInput
from tests.orchestrator.small import pipeline_spec
from tests.pictures import ellipse_mask, noisy_photo

PHOTO, MASK = noisy_photo(90, 70), ellipse_mask(90, 70)
FULL = np.full((70, 90), 255, np.uint8)


def given(options: Fit | Rect | None = None, **changes: Any) -> TaskInput:
    values: dict[str, Any] = {"buckets": pipeline_spec().buckets, "picture": PHOTO, "mask": MASK, **changes}
    return TaskInput(Arrangement((options,)), **values)


@pytest.mark.parametrize(
    ("placement", "size", "expected"),
    [
        (None, None, None),
        (None, Size(100, 90), Fit()),
        (pb.Placement(), None, Fit()),
        (pb.Placement(box=pb.Box(x=1, y=2, width=30, height=40)), None, Rect(1, 2, 30, 40)),
        (pb.Placement(fit=pb.Fit(padding=0.0, horizontal=pb.HORIZONTAL_ALIGNMENT_RIGHT)), None, Fit(0.0, 1.0, 0.5)),
    ],
)
def test_placement_is_read_or_defaulted(
    placement: pb.Placement | None, size: Size | None, expected: Fit | Rect | None
) -> None:
    assert read(pb.BackgroundTask(product=b"photo", placement=placement), Delivery(size)).placements == (expected,)


def test_an_unplaced_product_stays_where_it_is() -> None:
    result = frame(given())
    assert np.array_equal(result.make, 255 - MASK)
    assert np.array_equal(result.known[MASK > 0], PHOTO[MASK > 0])
    assert result.kept is not None
    assert result.kept.unscaled


def test_a_placed_product_fills_its_box() -> None:
    result = frame(given(Rect(10, 20, 30, 40), delivery_size=Size(80, 100)))
    assert result.size == Size(80, 100)
    assert result.kept is not None
    assert not result.kept.unscaled
    box = result.kept.box
    assert (box.x, box.width) == (10, 30)
    assert box.y >= 20
    assert box.y + box.height <= 60
    outside = np.ones(result.make.shape, bool)
    outside[box.y : box.y + box.height, box.x : box.x + box.width] = False
    assert (result.make[outside] == 255).all()


def test_a_good_mask_passes() -> None:
    check(given())
    check(given(mask=None))
    check(given(Fit(), mask=FULL))


@pytest.mark.parametrize(
    ("source", "field"), [(MaskSource.REQUEST, "background.mask"), (MaskSource.ALPHA, "background.product")]
)
@pytest.mark.parametrize("mask", [np.zeros((70, 90), np.uint8), FULL])
def test_a_mask_of_nothing_or_everything_is_refused(source: MaskSource, field: str, mask: Any) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        check(given(mask=mask, mask_source=source))
    assert (caught.value.reason, caught.value.field) == (Reason.INVALID_MASK, field)


@pytest.mark.parametrize("box", [Rect(60, 0, 31, 5), Rect(0, 66, 5, 5), Rect(1, 1, 0, 5), Rect(1, 1, 5, 0)])
def test_a_box_outside_the_picture_is_refused(box: Rect) -> None:
    check(given(Rect(60, 0, 30, 70)))
    with pytest.raises(InvalidRequestError) as caught:
        check(given(box))
    assert (caught.value.reason, caught.value.field) == (Reason.INVALID_PLACEMENT, "background.placement.box")


@pytest.mark.parametrize(("options", "field"), [(None, "background.mask"), (Fit(0.0), "background.placement")])
def test_a_product_that_leaves_no_scene_is_refused(options: Fit | None, field: str) -> None:
    with pytest.raises(InvalidRequestError, match="no scene to make") as caught:
        frame(given(options, mask=FULL))
    assert (caught.value.reason, caught.value.field) == (Reason.INVALID_MASK, field)


def test_a_product_that_others_touch_shows_what_they_leave() -> None:
    square = np.full((10, 10), 255, np.uint8)
    pictures = [MaskedPicture(f"p{i}", noisy_photo(10, 10, i), square, MaskSource.REQUEST) for i in (1, 2)]
    inputs = TaskInput(
        Arrangement((Rect(0, 0, 40, 30), Rect(5, 5, 10, 10), Rect(10, 8, 10, 10))),
        pipeline_spec().buckets,
        delivery_size=Size(64, 64),
        picture=PHOTO,
        mask=MASK,
        more=tuple(pictures),
    )
    kept = frame(inputs).kept
    assert kept is not None
    assert (kept.box.height, kept.parts[1].box) == (30, Rect(5, 5, 10, 10))
    assert [part.visible_pixels for part in kept.parts[1:]] == [100 - 5 * 7, 100]


def test_a_soft_border_is_read_for_every_layout_and_the_frame_has_it() -> None:
    message = pb.BackgroundTask(product=b"photo", soft=4, harmonise=0.5, automatic_placements=2)
    soft = SoftBorder(4, 0.5)
    assert read(message, Delivery()).soft == soft
    limits = info_pb.Limits(max_layouts=8, max_pixels=1_000_000)
    options = [each for each, _ in layouts(message, given(picture_size=Size(90, 70)), limits)]
    assert [each.soft for each in options] == [soft, soft]
    result = frame(dataclasses.replace(given(), options=Arrangement((None,), soft)))
    assert result.border is not None
    assert np.array_equal(result.border.make, 255 - MASK)
    assert result.border.band.any()
    assert frame(given()).border is None

"""Expand: the frame is the larger picture, of which the sent one is known."""

from __future__ import annotations

import pytest

from backdrop.contract.expansion import Extent, Margins
from backdrop.contract.geometry import Rect, Size
from backdrop.contract.parts import Delivery
from backdrop.errors import InvalidRequestError, Reason
from backdrop.v1 import generation_service_pb2 as pb
from orchestrator.tasks.expand import frame, read, size
from orchestrator.tasks.task import TaskInput
from tests.pictures import noisy_photo


def inputs(extent: Extent) -> TaskInput:
    return TaskInput(extent, (Size(64, 64),), picture=noisy_photo(40, 30), picture_size=Size(40, 30))


def test_its_size_is_known_before_the_picture_is_decoded() -> None:
    extent = read(pb.ExpandTask(margins=pb.Margins(top=10)), Delivery())
    assert size(TaskInput(extent, (Size(64, 64),), picture_size=Size(40, 30)), 10_000) == Size(40, 40)
    with pytest.raises(InvalidRequestError) as caught:
        size(inputs(extent), 1_599)
    assert (caught.value.reason, caught.value.field) == (Reason.INVALID_SIZE, "expand.margins")


def test_only_what_lies_around_the_picture_is_made() -> None:
    expanded = frame(inputs(Extent(Margins(0, 0, 24, 0))))
    assert expanded.size == Size(64, 30)
    assert not expanded.make[:, :40].any()
    assert (expanded.make[:, 40:] == 255).all()
    assert expanded.kept is not None
    assert expanded.kept.box == Rect(0, 0, 40, 30)

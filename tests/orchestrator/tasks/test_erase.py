"""Erase: the whole picture is known, except under the widened mask."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from backdrop.contract.canvas import Kept, MaskSource
from backdrop.contract.geometry import Rect, Size
from backdrop.contract.parts import Delivery
from backdrop.errors import InvalidRequestError, Reason
from backdrop.v1 import generation_service_pb2 as pb
from orchestrator.arrays import Bytes
from orchestrator.tasks.erase import ERASE, check, frame, read
from orchestrator.tasks.task import TaskInput
from tests.pictures import noisy_photo

BUCKETS = (Size(64, 64),)


def spot(width: int = 40, height: int = 30) -> Bytes:
    """A mask of one pixel, in the middle."""
    mask = np.zeros((height, width), np.uint8)
    mask[height // 2, width // 2] = 255
    return mask


def inputs(mask: Bytes, grow: int | None) -> TaskInput:
    return TaskInput(grow, BUCKETS, picture=noisy_photo(mask.shape[1], mask.shape[0]), mask=mask)


@pytest.mark.parametrize(("grow", "pixels"), [(0, 1), (1, 9), (3, 49), (None, 69)])
def test_the_mask_is_widened_on_every_side(grow: int | None, pixels: int) -> None:
    erased = frame(inputs(spot(), grow))
    assert (erased.make == 255).sum() == pixels
    assert erased.make[15, 20] == 255
    assert (erased.known == noisy_photo(40, 30)).all()
    assert erased.kept == Kept(Rect(0, 0, 40, 30), unscaled=True, mask_source=MaskSource.REQUEST)


def test_grow_is_read_from_its_message() -> None:
    assert read(pb.EraseTask(), Delivery()) is None
    assert read(pb.EraseTask(grow=0), Delivery()) == 0
    with pytest.raises(InvalidRequestError) as caught:
        read(pb.EraseTask(grow=65), Delivery())
    assert (caught.value.reason, caught.value.field) == (Reason.OUT_OF_RANGE, "erase.grow")


@pytest.mark.parametrize(("refuse", "mask", "grow"), [(check, np.zeros((30, 40), np.uint8), 0), (frame, spot(), 30)])
def test_masks_without_anything_to_erase_or_to_keep_are_refused(
    refuse: Callable[[TaskInput], object], mask: Bytes, grow: int
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        refuse(inputs(mask, grow))
    assert (caught.value.reason, caught.value.field) == (Reason.INVALID_MASK, "erase.mask")


def test_without_a_prompt_fidelity_does_not_count() -> None:
    assert "fidelity" not in ERASE.heads

"""Fill: the whole picture is known, except under the mask."""

from __future__ import annotations

import numpy as np
import pytest

from backdrop.contract.canvas import Kept, MaskSource
from backdrop.contract.geometry import Rect, Size
from backdrop.errors import InvalidRequestError, Reason
from orchestrator.arrays import Bytes
from orchestrator.tasks.fill import FILL, check, frame
from orchestrator.tasks.task import TaskInput
from tests.pictures import ellipse_mask, noisy_photo


def inputs(mask: Bytes) -> TaskInput:
    return TaskInput(None, (Size(64, 64),), picture=noisy_photo(40, 30), mask=mask)


def test_what_the_mask_marks_is_made_to_its_last_level() -> None:
    mask = ellipse_mask(40, 30, soft=True)
    filled = frame(inputs(mask))
    assert (filled.make == mask).all()
    assert (filled.known == noisy_photo(40, 30)).all()
    assert filled.kept == Kept(Rect(0, 0, 40, 30), unscaled=True, mask_source=MaskSource.REQUEST)


def test_masks_that_mark_nothing_or_everything_are_refused() -> None:
    for refuse, level in ((check, 0), (frame, 255)):
        with pytest.raises(InvalidRequestError) as caught:
            refuse(inputs(np.full((30, 40), level, np.uint8)))
        assert (caught.value.reason, caught.value.field) == (Reason.INVALID_MASK, "fill.mask")


def test_a_prompt_decides_what_is_made_so_every_head_judges() -> None:
    assert FILL.heads == ()
    assert "conditioning.prompt|conditioning.style_images" in FILL.rules.required

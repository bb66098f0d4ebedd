"""Vary: every pixel is made, and the frame holds the picture from which the noise starts."""

from __future__ import annotations

from backdrop.contract.geometry import Size
from orchestrator.tasks.task import TaskInput
from orchestrator.tasks.vary import VARY, frame
from tests.pictures import noisy_photo


def test_nothing_is_kept_and_the_picture_is_there_to_start_from() -> None:
    photo = noisy_photo(40, 30)
    varied = frame(TaskInput(None, (Size(64, 64),), picture=photo))
    assert (varied.make == 255).all()
    assert (varied.known == photo).all()
    assert varied.kept is None
    assert not VARY.keeps_pixels

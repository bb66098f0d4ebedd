"""Shadow: the frame holds the scene, and only pixels in the shadow are made."""

from __future__ import annotations

from backdrop.contract.geometry import Size
from backdrop.contract.shadows import Shadow
from orchestrator.tasks.shadow import SHADOW, frame
from orchestrator.tasks.task import TaskInput
from tests.pictures import ellipse_mask, noisy_photo


def test_the_frame_holds_the_darkened_picture() -> None:
    photo, mask = noisy_photo(64, 64), ellipse_mask(64, 64)
    shaded = frame(TaskInput(Shadow(), (Size(64, 64),), picture=photo, mask=mask))
    assert shaded.scene is not None
    assert (shaded.known == photo).all()
    assert not shaded.make[mask == 255].any()
    assert shaded.make.any()
    assert shaded.nbytes == 64 * 64 * 7
    assert not SHADOW.rules.sampled

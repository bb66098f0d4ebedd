"""Text-to-image: nothing is known, so everything is made."""

from __future__ import annotations

from backdrop.contract.geometry import Size
from orchestrator.tasks.task import MaskNeed, TaskInput
from orchestrator.tasks.text_to_image import TEXT_TO_IMAGE
from tests.orchestrator.small import pipeline_spec

BUCKETS = pipeline_spec().buckets


def test_the_frame_is_blank() -> None:
    frame = TEXT_TO_IMAGE.frame(TaskInput(None, BUCKETS, Size(120, 90)))
    assert (frame.size, frame.tiling.scene) == (Size(120, 90), Size(64, 48))
    assert (frame.make == 255).all()
    assert frame.kept is None


def test_without_a_size_the_first_bucket_is_the_canvas() -> None:
    frame = TEXT_TO_IMAGE.frame(TaskInput(None, BUCKETS))
    assert frame.size == frame.tiling.scene == BUCKETS[0]


def test_it_takes_no_pictures() -> None:
    assert (TEXT_TO_IMAGE.picture, TEXT_TO_IMAGE.mask, TEXT_TO_IMAGE.keeps_pixels) == ("", MaskNeed.NONE, False)

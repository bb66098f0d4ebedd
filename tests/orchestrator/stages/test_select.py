"""Select: the ranking, and pictures that are finished one by one."""

from __future__ import annotations

import dataclasses

import pytest

from backdrop.contract.canvas import blank
from backdrop.contract.finishing import encode
from backdrop.contract.geometry import Size
from backdrop.contract.parts import OutputFormat
from orchestrator.arrays import Bytes
from orchestrator.events import Scores
from orchestrator.imaging.frame import Frame, frame_of
from orchestrator.stages import select as module
from orchestrator.stages.frames import FrameSource, PixelMemory
from orchestrator.stages.models import Models
from orchestrator.stages.select import Variant, rank, select
from orchestrator.tasks import TaskInput
from orchestrator.tasks.background import BACKGROUND
from tests.orchestrator.imaging.frames import finished, noise_in, product_frame
from tests.orchestrator.small import FunctionModels, pipeline_spec
from tests.pictures import ellipse_mask, noisy_photo

FRAME = product_frame(noisy_photo(80, 60), ellipse_mask(80, 60))
MODELS = Models(pipeline_spec(), FunctionModels(), "0" * 32)


def source_for(frame: Frame) -> FrameSource:
    """A source of one frame, whatever the pictures are."""
    task = dataclasses.replace(BACKGROUND, frame=lambda inputs: frame)
    return FrameSource(task, lambda: TaskInput(None, (frame.tiling.scene,)), 1.0, PixelMemory(16.0))


def variants(*totals: float) -> list[Variant]:
    scene = noise_in(FRAME)
    return [Variant(i, 100 + i, scene, Scores({"defects": total})) for i, total in enumerate(totals)]


def test_the_best_come_first_and_equals_keep_their_order() -> None:
    assert [each.index for each in rank(variants(0.2, 0.9, 0.5, 0.9), 4)] == [1, 3, 2, 0]
    assert [each.index for each in rank(variants(0.2, 0.9, 0.5, 0.9), 2)] == [1, 3]


def test_variants_without_scores_keep_their_order() -> None:
    unscored = [Variant(index, index, noise_in(FRAME), None) for index in (2, 0, 1)]
    assert [each.index for each in rank(unscored, 3)] == [0, 1, 2]


def test_heads_that_do_not_count_do_not_rank() -> None:
    scene = noise_in(FRAME)
    pair = [Variant(i, i, scene, Scores({"a": a, "b": 1 - a}, ("b",))) for i, a in enumerate((0.9, 0.1))]
    assert [each.index for each in rank(pair, 2)] == [1, 0]


@pytest.mark.parametrize("output_format", OutputFormat)
async def test_pictures_say_what_they_are(output_format: OutputFormat) -> None:
    pictures = [
        picture async for picture in select(variants(0.1, 0.3, 0.2), 2, source_for(FRAME), MODELS, output_format)
    ]
    assert [(each.rank, each.variant, each.seed) for each in pictures] == [(0, 1, 101), (1, 2, 102)]
    for picture in pictures:
        assert picture.media_type == f"image/{output_format.value.lower()}"
        assert picture.size == Size(80, 60)
        assert picture.data == encode(finished(FRAME), output_format)
        assert picture.receipt is not None
    assert pictures[0].scores == Scores({"defects": 0.3})


async def test_where_nothing_is_kept_pictures_have_no_receipt() -> None:
    frame = frame_of(blank(Size(80, 60)), [FRAME.tiling.tile])
    pictures = [picture async for picture in select(variants(0.1, 0.3), 2, source_for(frame), MODELS, OutputFormat.PNG)]
    assert [picture.receipt for picture in pictures] == [None, None]


async def test_the_next_picture_is_not_begun_before_the_last_was_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[OutputFormat] = []

    def counting(picture: Bytes, output_format: OutputFormat) -> bytes:
        encoded.append(output_format)
        return encode(picture, output_format)

    monkeypatch.setattr(module, "encode", counting)
    taken = 0
    async for _ in select(variants(0.1, 0.2, 0.3), 3, source_for(FRAME), MODELS, OutputFormat.PNG):
        taken += 1
        assert len(encoded) == taken

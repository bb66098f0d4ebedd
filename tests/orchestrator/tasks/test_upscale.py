"""Upscale: the frame has the larger size, and the picture, with its alpha channel, is its scene."""

from __future__ import annotations

import numpy as np
import pytest

from backdrop.contract.geometry import Size
from backdrop.contract.parts import Delivery
from backdrop.errors import InvalidRequestError, Reason
from backdrop.v1 import generation_service_pb2 as pb
from orchestrator.tasks.task import TaskInput
from orchestrator.tasks.upscale import UPSCALE, frame, read, size
from tests.pictures import ellipse_mask, noisy_photo


def test_its_size_is_known_before_the_picture_is_decoded() -> None:
    assert read(pb.UpscaleTask(), Delivery()) == 2
    factor = read(pb.UpscaleTask(factor=4), Delivery())
    inputs = TaskInput(factor, (Size(64, 64),), picture_size=Size(40, 30))
    assert size(inputs, 160 * 120) == Size(160, 120)
    with pytest.raises(InvalidRequestError) as caught:
        size(inputs, 160 * 120 - 1)
    assert (caught.value.reason, caught.value.field) == (Reason.INVALID_SIZE, "upscale.factor")


@pytest.mark.parametrize("channels", [3, 4])
def test_the_picture_is_the_scene(channels: int) -> None:
    picture = np.dstack([noisy_photo(40, 30), ellipse_mask(40, 30)])[..., :channels]
    upscaled = frame(TaskInput(2, (Size(64, 64),), picture=picture))
    assert upscaled.size == Size(80, 60)
    assert upscaled.scene is picture
    assert upscaled.kept is None
    assert UPSCALE.keeps_alpha
    assert not UPSCALE.rules.sampled

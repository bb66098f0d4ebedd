"""Protos to the types that callers see."""

from __future__ import annotations

import dataclasses
import enum
from pathlib import Path
from typing import Any, cast

import pytest

from backdrop import Adapter, AdapterInfo, Box, _convert, _enums
from backdrop import _events as events
from backdrop.v1 import generation_service_pb2 as pb
from backdrop.v1 import info_service_pb2 as info_pb

ENUMS = [
    _enums.Scheduler,
    _enums.OutputFormat,
    _enums.HorizontalAlignment,
    _enums.VerticalAlignment,
    _enums.Stage,
    _enums.CompositingMode,
    _enums.MaskSource,
]


@pytest.mark.parametrize("cls", ENUMS)
def test_enums_are_those_of_the_contract(cls: type[enum.StrEnum]) -> None:
    wrapper = getattr(pb, cls.__name__)
    numbers = {_convert.enum_number(member, wrapper) for member in cls if member.name != "UNKNOWN"}
    assert numbers == set(wrapper.values()) - {0}


def test_what_a_newer_server_says_becomes_unknown() -> None:
    stage = pb.GenerateResponse(stage=pb.StageStarted(stage=cast(Any, 99)))
    assert _convert.event(stage) == events.StageStarted(_enums.Stage.UNKNOWN)
    assert _convert.event(pb.GenerateResponse()) is None  # an event of a kind that is not known here
    settings = pb.EffectiveSettings(sampling=pb.Sampling(scheduler=cast(Any, 99)))
    summary = _convert.summary(pb.Summary(settings=settings))
    assert summary.settings.scheduler is _enums.Scheduler.UNKNOWN


def test_results_cannot_be_changed() -> None:
    changed: Any = _convert.summary(pb.Summary(model_fingerprints={"denoiser": "sha256:1"}))
    with pytest.raises(AttributeError):
        changed.replayed = True
    with pytest.raises(TypeError):
        changed.model_fingerprints["denoiser"] = "other"


def test_a_picture_is_saved_byte_for_byte_and_not_printed(tmp_path: Path) -> None:
    picture = _convert.event(pb.GenerateResponse(picture=pb.Picture(data=b"picture bytes")))
    assert isinstance(picture, events.Picture)
    picture.save(tmp_path / "1.png")
    assert (tmp_path / "1.png").read_bytes() == b"picture bytes"
    assert "picture bytes" not in repr(picture)


def test_a_picture_without_known_pixels_has_no_receipt() -> None:
    plain, kept = (
        _convert.event(pb.GenerateResponse(picture=pb.Picture(rank=1, receipt=receipt)))
        for receipt in (None, pb.PreservationReceipt(known_box=pb.Box(x=1, y=2, width=3, height=4)))
    )
    assert isinstance(plain, events.Picture)
    assert isinstance(kept, events.Picture)
    assert plain.receipt is None
    assert plain.rank == 1
    assert kept.receipt is not None
    assert kept.receipt.known_box == Box(1, 2, 3, 4)


def test_adapters_of_a_server_and_of_a_result_are_read() -> None:
    served = info_pb.Pipeline(adapters=[info_pb.AdapterInfo(name="a", fingerprint="sha256:1")], max_adapters=3)
    (pipeline,) = _convert.server_info(info_pb.GetInfoResponse(pipelines=[served])).pipelines
    assert (pipeline.adapters, pipeline.max_adapters) == ((AdapterInfo("a", "sha256:1"),), 3)
    settings = pb.EffectiveSettings(adapters=[pb.Adapter(name="a", weight=0.5)])
    assert _convert.summary(pb.Summary(settings=settings)).settings.adapters == (Adapter("a", 0.5),)


def test_a_result_is_its_summary_and_its_pictures() -> None:
    summary = _convert.summary(pb.Summary(request_id="id", replayed=True))
    picture = _convert.event(pb.GenerateResponse(picture=pb.Picture(data=b"1")))
    assert isinstance(picture, events.Picture)
    result = events.Result.of(summary, [picture])
    assert result.pictures == (picture,)
    for field in dataclasses.fields(summary):
        assert getattr(result, field.name) == getattr(summary, field.name)

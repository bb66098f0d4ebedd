"""Protos to the types that callers see."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Any

import pytest

from backdrop import _convert, _enums
from backdrop import _types as types
from backdrop.v1 import generation_service_pb2 as pb

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
    stage = pb.GenerateResponse(stage=pb.StageStarted(stage=99))
    assert _convert.event(stage) == types.StageStarted(_enums.Stage.UNKNOWN)
    assert _convert.event(pb.GenerateResponse()) is None  # an event of a kind that is not known here
    settings = pb.EffectiveSettings(scheduler=99)
    result = _convert.result(pb.GenerateResult(settings=settings))
    assert result.settings.scheduler is _enums.Scheduler.UNKNOWN


def test_results_cannot_be_changed() -> None:
    result = _convert.result(pb.GenerateResult(model_fingerprints={"denoiser": "sha256:1"}))
    changed: Any = result
    with pytest.raises(AttributeError):
        changed.replayed = True
    with pytest.raises(TypeError):
        changed.model_fingerprints["denoiser"] = "other"


def test_a_picture_is_saved_byte_for_byte_and_not_printed(tmp_path: Path) -> None:
    message = pb.GenerateResult(pictures=[pb.Picture(data=b"picture bytes")])
    picture = _convert.result(message).best
    picture.save(tmp_path / "1.png")
    assert (tmp_path / "1.png").read_bytes() == b"picture bytes"
    assert "picture bytes" not in repr(picture)

"""Every value of the contract's enumerations has its name here, and every name its value."""

from __future__ import annotations

from backdrop.contract.parts import OutputFormat, Priority
from backdrop.contract.vocabulary import FORMAT_VALUES, FORMATS, HORIZONTAL, SCHEDULER_VALUES, SCHEDULERS, VERTICAL
from backdrop.v1 import generation_service_pb2 as pb


def test_no_value_is_forgotten() -> None:
    assert set(SCHEDULERS) == set(pb.Scheduler.values()) - {0}
    assert set(FORMATS) == set(pb.OutputFormat.values())
    assert set(HORIZONTAL) == set(pb.HorizontalAlignment.values())
    assert set(VERTICAL) == set(pb.VerticalAlignment.values())
    assert {int(priority) for priority in Priority} == set(pb.Priority.values()) - {0}


def test_names_are_the_contracts() -> None:
    assert {f"SCHEDULER_{name.upper()}": int(value) for name, value in SCHEDULER_VALUES.items()} == {
        name: value for name, value in pb.Scheduler.items() if value
    }
    assert set(FORMAT_VALUES) == set(OutputFormat)
    assert all(FORMATS[value] is name for name, value in FORMAT_VALUES.items())

"""Which fields a task takes: the table names real fields, and requests that break it are refused by path."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from backdrop.contract import rules as module
from backdrop.contract.rules import TASKS, TaskRules, is_set, maps_changes, read_task
from backdrop.errors import InvalidRequestError, Reason
from backdrop.v1 import generation_service_pb2 as pb
from tests.messages import generate_request


def test_there_are_rules_for_every_task_of_the_contract() -> None:
    assert list(TASKS) == [field.name for field in pb.GenerateRequest.DESCRIPTOR.oneofs_by_name["task"].fields]
    assert all(rules.description.endswith(".") for rules in TASKS.values())


@pytest.mark.parametrize("rules", TASKS.values(), ids=TASKS)
def test_the_table_names_fields_that_exist(rules: TaskRules) -> None:
    for paths in (*rules.required, *rules.refused):
        for path in paths.split("|"):
            assert not is_set(pb.GenerateRequest(), path)


def test_the_task_is_the_field_that_is_set() -> None:
    assert read_task(generate_request(product=b"photo")) is TASKS["background"]
    assert read_task(generate_request("text_to_image", prompt="a beach")) is TASKS["text_to_image"]


def test_either_of_two_fields_is_enough() -> None:
    pictures = [pb.StyleImage(image=b"x")]
    assert read_task(generate_request("text_to_image", style_images=pictures)) is TASKS["text_to_image"]


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.GenerateRequest(), "task"),
        (generate_request(), "background.product"),
        (generate_request(product=b""), "background.product"),
        (generate_request("text_to_image"), "conditioning.prompt"),
        (generate_request("text_to_image", negative_prompt="a city"), "conditioning.prompt"),
    ],
)
def test_what_is_missing_is_named(request_: pb.GenerateRequest, field: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read_task(request_)
    assert (caught.value.reason, caught.value.field) == (Reason.MISSING_FIELD, field)
    assert caught.value.message.endswith(".")


@pytest.mark.parametrize(
    ("field", "value"),
    [("prompt", "a beach"), ("guidance_scale", 1.0), ("guidance_window", pb.GuidanceWindow()), ("seed", 0)],
)
def test_a_field_that_the_task_does_not_take_is_refused(
    monkeypatch: pytest.MonkeyPatch, field: str, value: Any
) -> None:
    part = "conditioning" if field == "prompt" else "sampling"
    path = f"{part}.{field}"
    strict = dataclasses.replace(TASKS["background"], refused=(path,))
    monkeypatch.setattr(module, "TASKS", {"background": strict})
    assert read_task(generate_request(product=b"photo", preview_every=3)) is strict
    with pytest.raises(InvalidRequestError, match=f"{path} is not a field that background takes") as caught:
        read_task(generate_request(product=b"photo", **{field: value}))
    assert (caught.value.reason, caught.value.field) == (Reason.FIELD_NOT_TAKEN, path)


def test_fields_with_presence_are_set_even_at_zero() -> None:
    zero = generate_request(seed=0, prompt="", steps=0)
    assert is_set(zero, "sampling.seed")
    assert is_set(zero, "sampling.steps")
    assert not is_set(zero, "sampling.guidance_scale")
    assert not is_set(zero, "conditioning.prompt"), "without presence, empty is not set"
    assert not is_set(zero, "delivery.size"), "nor is what a missing part would hold"
    assert is_set(generate_request(), "background")


def test_receipts_map_changes_where_a_product_may_change() -> None:
    assert maps_changes(pb.GenerateRequest(relight=pb.RelightTask()))
    assert maps_changes(pb.GenerateRequest(background=pb.BackgroundTask(soft=1)))
    assert not maps_changes(pb.GenerateRequest(background=pb.BackgroundTask()))
    assert not maps_changes(pb.GenerateRequest(shadow=pb.ShadowTask()))

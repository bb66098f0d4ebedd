"""Options are said once: each has a field, a flag, a help and a name in errors, and each field has an option."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Iterator
from typing import Any, Unpack

import pytest
from google.protobuf.descriptor import FieldDescriptor

from backdrop import AsyncClient, Client, Options
from backdrop._cli.failures import sentence
from backdrop._cli.flags import flags_by_path, with_flags
from backdrop._describe import Option, options_of
from backdrop._options import RequestOptions
from backdrop.contract.rules import TASKS as RULES
from backdrop.errors import Reason, error
from backdrop.tasks import TASKS
from backdrop.v1 import generation_service_pb2 as pb
from tests.backdrop.test_package import ROOT

REQUEST: Any = pb.GenerateRequest.DESCRIPTOR
PARTS = ("conditioning", "sampling", "selection", "delivery")
OWNERS: list[type] = [Options, *TASKS.values()]
DESCRIBED = [
    pytest.param(owner, name, option, id=f"{owner.__name__}.{name}")
    for owner in OWNERS
    for name, option in options_of(owner).items()
]


def fields_of_the_request() -> Iterator[str]:
    """The path of every field that a request's parts and tasks have."""
    for field in REQUEST.fields:
        if field.name in PARTS or field.containing_oneof is not None:
            yield from (f"{field.name}.{inner.name}" for inner in field.message_type.fields)
        else:
            yield field.name


def leaves(message: Any, path: str) -> Iterator[str]:
    """Every path that an error can name below `path`."""
    for field in message.fields:
        yield f"{path}.{field.name}"
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            yield from leaves(field.message_type, f"{path}.{field.name}")


def test_every_field_of_the_request_has_one_option() -> None:
    owners: list[type] = [RequestOptions, *TASKS.values()]
    paths = [option.path for owner in owners for option in options_of(owner).values()]
    assert sorted(paths) == sorted(fields_of_the_request())


def test_every_task_of_the_contract_has_a_class_and_rules() -> None:
    names = {field.name for field in REQUEST.oneofs_by_name["task"].fields}
    assert names == set(TASKS) == set(RULES)


@pytest.mark.parametrize(("owner", "name", "option"), DESCRIBED)
def test_every_annotation_is_described(owner: type, name: str, option: Option) -> None:
    assert option.flags
    assert re.fullmatch(r"[A-Z].*\.", option.help), option.help
    assert "Default: " in option.help or any(option.path in rules.required for rules in RULES.values())
    for flag in option.flags:
        assert re.fullmatch("--[a-z-]+", flag.name)
        assert option.flag_help(flag).endswith(".")


@pytest.mark.parametrize("owner", OWNERS)
def test_no_keyword_lacks_its_description(owner: type) -> None:
    hints = typing.get_type_hints(owner)
    assert set(hints) - {"name"} == set(options_of(owner))


@pytest.mark.parametrize(("owner", "name", "option"), DESCRIBED)
def test_every_refusal_of_an_option_says_what_to_change(owner: type, name: str, option: Option) -> None:
    flags = {flag.name for flag in option.flags}
    *parents, last = option.path.split(".")
    message = REQUEST
    for parent in parents:
        message = message.fields_by_name[parent].message_type
    paths = [option.path, f"{option.path}[3].weight"]
    field = message.fields_by_name.get(last)
    if field is not None and field.type == FieldDescriptor.TYPE_MESSAGE:
        paths += leaves(field.message_type, option.path)
    for path in paths:
        told = re.search(r"Change (--[a-z-]+)\.", sentence(error(Reason.OUT_OF_RANGE, "No.", field=path)))
        assert told is not None, path
        assert told[1] in flags


def test_a_part_of_a_placement_has_a_flag_of_its_own() -> None:
    flags = flags_by_path()
    assert flags["background.placement.fit.padding"] == "--padding"
    assert flags["background.placement.box"] == "--box"


@pytest.mark.parametrize("task", TASKS.values())
def test_flags_of_a_command_are_all_different(task: type) -> None:
    owners = (task, Options)
    names = [flag.name for owner in owners for option in options_of(owner).values() for flag in option.flags]
    assert len(set(names) | {"--out", "--endpoint"}) == len(names) + 2


@pytest.mark.parametrize("client", [AsyncClient, Client])
def test_both_clients_take_the_options_by_their_types(client: type) -> None:
    generate = client.generate  # type: ignore[attr-defined]
    assert typing.get_type_hints(generate)["options"] == Unpack[Options]
    assert list(inspect.signature(generate).parameters) == ["self", "task", "options"]


def test_the_docs_list_every_option_with_its_field_and_flags() -> None:
    page = (ROOT / "docs" / "options.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("|")]
    for owner in OWNERS:
        for name, option in options_of(owner).items():
            listed = [row for row in rows if f"`{name}` | `{option.path}`" in row and option.help in row]
            assert len(listed) == 1, name
            assert all(f"`{flag.name}`" in listed[0] for flag in option.flags)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("sampling.steps is 0; it must be 1 to 200.", "--steps is 0; it must be 1 to 200."),
        ("conditioning.style_images[1].weight is 11.", "--style number 2 is 11."),
        ("fill needs fill.mask.", "fill needs --mask."),
        ("background.placement.fit.padding_sides.left is too much.", "--padding is too much."),
        ("background.placement.box.width is 0.", "--box is 0."),
        ("priority 9 is unknown; no other priority is.", "--priority 9 is unknown; no other priority is."),
        ("idempotency_key is long.", "--idempotency-key is long."),
        ("conditioning.prompts and my.sampling.steps are no fields.",) * 2,
    ],
)
def test_messages_name_flags_instead_of_fields(message: str, expected: str) -> None:
    assert with_flags(message) == expected

"""Requests as messages, built of flat keywords: tests name the fields that they mean, not the parts that hold them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backdrop.v1 import generation_service_pb2 as pb

_PARTS = ("conditioning", "sampling", "selection", "delivery")


def generate_request(task: str = "background", **fields: Any) -> pb.GenerateRequest:
    """A request of `task`; each keyword is a field of the part that has one of that name, or of the request itself.

    A part is set where one of its fields is.
    """
    whole: dict[str, Any] = {task: {}}
    for name, value in fields.items():
        part = next((part for part in (task, *_PARTS) if name in _fields(part)), None)
        (whole if part is None else whole.setdefault(part, {}))[name] = value
    return pb.GenerateRequest(**whole)


def _fields(part: str) -> Mapping[str, object]:
    message = pb.GenerateRequest.DESCRIPTOR.fields_by_name[part].message_type
    assert message is not None
    return message.fields_by_name

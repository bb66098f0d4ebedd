"""Builds a request from a task and options; the descriptions say which value goes to which field."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from google.protobuf.message import Message

from backdrop._describe import Option, options_of
from backdrop._options import Options, RequestOptions
from backdrop.errors import Reason, error
from backdrop.tasks import TASKS, Task
from backdrop.v1 import generation_service_pb2 as pb


def build_request(task: Task, options: Mapping[str, Any]) -> pb.GenerateRequest:
    """The request for a task; an option that is absent stays the server's default.

    Raises:
        InvalidRequestError: the first argument is no task, or a value cannot be put on the wire: a wrong type, a file
            that cannot be read, a negative number, a word that is no scheduler, format or alignment. `field` names it.
        TypeError: a keyword is no option.
    """
    if not isinstance(task, Task) or task.name not in TASKS:
        message = (
            f"generate() takes a task as its first argument, not {type(task).__name__};"
            " for a product photo write generate(backdrop.Background(photo), …)."
        )
        raise error(Reason.MISSING_FIELD, message, field="task")
    _check_keywords(task, options)
    request = pb.GenerateRequest()
    getattr(request, task.name).SetInParent()  # a task without fields is a task too
    for name, option in options_of(type(task)).items():
        _write(request, option, getattr(task, name))
    for name, option in options_of(RequestOptions).items():
        if name in options:
            _write(request, option, options[name])
    return request


def _check_keywords(task: Task, options: Mapping[str, Any]) -> None:
    """Raises TypeError for a keyword that is no option, as Python does, and says which one may be meant."""
    names = options_of(Options)
    for name in options:
        if name in names:
            continue
        hint = ""
        if name in options_of(type(task)):
            hint = f"; it belongs to the task: {type(task).__name__}(…, {name}=…)"
        elif close := difflib.get_close_matches(name, names, 1):
            hint = f"; did you mean {close[0]!r}?"
        raise TypeError(f"generate() got an unexpected keyword argument {name!r}{hint}")


def _check_oneof(message: Message, field: str, path: str) -> None:
    """Raises InvalidRequestError when another field of the same oneof is set: it would be lost."""
    oneof = message.DESCRIPTOR.fields_by_name[field].containing_oneof
    other = message.WhichOneof(oneof.name) if oneof is not None else None
    if other is not None:
        text = f"{path} and {path.removesuffix(field)}{other} exclude each other; leave one of them out."
        raise error(Reason.FIELD_NOT_TAKEN, text, field=path)


def _write(request: pb.GenerateRequest, option: Option, value: Any) -> None:
    if value is None and option.optional:
        return
    content = option.write(value, option.path)
    *parents, field = option.path.split(".")
    message: Message = request
    for parent in parents:
        message = getattr(message, parent)
    _check_oneof(message, field, option.path)
    if isinstance(content, Message):
        getattr(message, field).CopyFrom(content)
    elif isinstance(content, list):
        getattr(message, field).extend(content)
    else:
        setattr(message, field, content)

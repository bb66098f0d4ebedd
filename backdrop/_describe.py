"""What an option is: one description gives its field in the request, its flag on the command line, and its help."""

from __future__ import annotations

import dataclasses
import functools
import typing
from collections.abc import Callable, Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Flag:
    """One flag of the command line."""

    name: str
    """For example "--steps"."""
    type: Any = str
    """What the command line reads; a list may be given several times."""
    metavar: str | None = None
    help: str = ""
    """Default: the option's."""
    subpath: str = ""
    """The part of the option's field that this flag sets, such as ".fit.padding"; default: all of it."""


def _single_value(path: str, value: Any) -> Any:
    return value


@dataclasses.dataclass(frozen=True)
class Option:
    """One option of a request or field of a task. It stands in the annotation of its keyword."""

    path: str
    """The field of `GenerateRequest` that it sets, and that errors name: "sampling.steps"."""
    write: Callable[[Any, str], Any]
    """Turns a Python value into what the field holds; raises InvalidRequestError, which names the path."""
    help: str
    """What it means, with range and default: for the docs and `--help`."""
    flags: tuple[Flag, ...]
    """On the command line; most options have one."""
    read: Callable[..., Any] = _single_value
    """Turns the path and the values of the flags into the Python value; None = not set."""
    optional: bool = False
    """Whether the keyword may be None, which means "not set"; `options_of` reads it from the annotation."""

    def flag_help(self, flag: Flag) -> str:
        """The help of one of its flags."""
        return flag.help or self.help


def options_of(owner: type) -> Mapping[str, Option]:
    """The options that the annotations of a task's class or of a TypedDict describe, by keyword."""
    return _options_of(owner)


@functools.cache
def _options_of(owner: Any) -> Mapping[str, Option]:
    options = {}
    for name, hint in typing.get_type_hints(owner, include_extras=True).items():
        metadata = getattr(hint, "__metadata__", ())
        option = next((each for each in metadata if isinstance(each, Option)), None)
        if option is not None:
            options[name] = dataclasses.replace(option, optional=type(None) in typing.get_args(hint.__origin__))
    return options

"""The flag of each field: what callers typed, where an error or a warning names a path of `GenerateRequest`."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping

from backdrop._describe import options_of
from backdrop._options import Options
from backdrop.tasks import TASKS


def flags_by_path() -> Mapping[str, str]:
    """What to change on the command line, by the path of the field that an error names."""
    return {**dict.fromkeys(TASKS, "--pipeline"), **_options()}  # a task is named where the pipeline does not serve it


def flag_of(field: str) -> str:
    """The flag that sets the field or a part of it, "" if there is none."""
    flags = flags_by_path()
    field = re.sub(r"\[\d+\]", "", field)
    while field:
        if field in flags:
            return flags[field]
        field = field.rpartition(".")[0]
    return ""


def with_flags(message: str) -> str:
    """The message with flags instead of fields; a part of a list keeps its place: "--style number 2"."""
    return _fields().sub(lambda match: flag_of(match[0]) + _number(match[0]), message)


def _number(field: str) -> str:
    index = re.search(r"\[(\d+)\]", field)
    return f" number {int(index[1]) + 1}" if index else ""


@functools.cache
def _options() -> Mapping[str, str]:
    flags = {}
    owners: tuple[type, ...] = (Options, *TASKS.values())
    for owner in owners:
        for option in options_of(owner).values():
            flags[option.path] = option.flags[0].name
            flags.update((option.path + flag.subpath, flag.name) for flag in option.flags)
    return flags


@functools.cache
def _fields() -> re.Pattern[str]:
    names = sorted(_options(), key=len, reverse=True)
    # "priority" is a word before it is a field: inside a sentence only names of several words are fields.
    several = "|".join(re.escape(name) for name in names if re.search(r"[._]", name))
    # The parts of a field belong to it, the full stop of a sentence does not.
    return re.compile(
        rf"(?:(?<![\w.])(?:{several})|^(?:{'|'.join(map(re.escape, names))}))(?:\[\d+\]|\.[a-z]\w*)*(?!\w)"
    )

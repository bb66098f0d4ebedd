"""What a broken input is, how its outcome is judged, and how files are broken."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

READ, REFUSED = "read", "refused"


@dataclass(frozen=True)
class Case:
    """One input and what reads it."""

    name: str
    call: Callable[[], object]
    refusals: tuple[type[Exception], ...]
    """The errors that tell a user what is wrong."""


def outcome(case: Case) -> str:
    """READ, REFUSED, or what is wrong with how it ended."""
    try:
        case.call()
    except case.refusals as refusal:
        text = str(refusal).strip()
        return REFUSED if text and "\n" not in text and "Traceback" not in text else f"refused by {text[:200]!r}"
    except Exception as problem:  # what is counted
        return repr(problem)[:200]
    return READ


LONG_NUMBER = 10**400
"""JSON has numbers that no float has."""
VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 1, 0.5, 1e300, 10**30, LONG_NUMBER, float("nan"), float("-inf"), "", "text", "64"),
    *([], [None], ["a"], [0], [1, 2], [[1]], {}, {"a": 1}),
)
"""One of every type, and the numbers at its ends."""
MISSING = object()
DOCUMENTS: dict[str, bytes] = {
    "empty": b"",
    "cut off": b'{"a": ',
    "null": b"null",
    "a list": b"[]",
    "a number": b"7",
    "text": b'"x"',
    "an empty object": b"{}",
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "no UTF-8": b'{"a": "\xff"}',
    "nested lists": b"[" * 100_000,
    "nested objects": b'{"a":' * 5_000,
    "a long number": b'{"a": ' + b"1" * 5_000 + b"}",
    "zeros": bytes(64),
}
"""Whole files."""


def values(content: Any, deep: int = 3) -> Iterator[tuple[str, Any]]:
    """A document with one value replaced, or one key missing, for every place of it down to a depth."""
    for path in places(content, deep):
        for value in (MISSING, *VALUES):
            changed = _replaced(content, path, value)
            what = "missing" if value is MISSING else repr(value)[:20]
            yield f"{'.'.join(map(str, path))} {what}", changed


def _replaced(content: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A document with another value at a place; what is not on the way to it is shared, since this is done often."""
    changed = copy.copy(content)
    key, *rest = path
    if rest:
        changed[key] = _replaced(content[key], tuple(rest), value)
    elif value is MISSING:
        del changed[key]
    else:
        changed[key] = value
    return changed


def places(content: Any, deep: int) -> Iterator[tuple[Any, ...]]:
    """The paths of a document, those inside its values after those of the values; of lists, the first two entries."""
    keys: list[Any] = []
    if isinstance(content, dict):
        keys = list(content)
    elif isinstance(content, list):
        keys = list(range(min(2, len(content))))
    for key in keys:
        yield (key,)
        if deep > 1:
            yield from ((key, *rest) for rest in places(content[key], deep - 1))


def spoilt_files(path: Path, deep: int = 1, *, optional: bool = False) -> Iterator[str]:
    """Spoils a JSON file in every way, says how, and restores it at the end.

    Args:
        path: The file.
        deep: How deep single values are replaced.
        optional: Whether the file was made for this alone, and is to be removed at the end.
    """
    content = path.read_bytes()
    for name, data in DOCUMENTS.items():
        path.write_bytes(data)
        yield f"{path.name}: {name}"
    for name, changed in values(json.loads(content), deep):
        path.write_text(json.dumps(changed))
        yield f"{path.name}: {name}"
    yield from spoilt_entries(path)
    if not optional:
        path.write_bytes(content)


def spoilt_entries(path: Path) -> Iterator[str]:
    """Replaces a file by nothing, a folder, and links that lead nowhere; leaves nothing."""
    path.unlink()
    yield f"{path.name}: not there"
    path.mkdir()
    yield f"{path.name}: a folder"
    path.rmdir()
    for target, name in ((path.name, "a link to itself"), ("nowhere", "a link to nothing"), ("/dev/null", "a device")):
        path.symlink_to(target)
        yield f"{path.name}: {name}"
        path.unlink()


def damaged(data: bytes, count: int) -> Iterator[bytes]:
    """The data with a byte altered, and cut off, at places that its length gives."""
    random = np.random.default_rng(len(data))
    for place in random.integers(0, len(data), count):
        yield data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :]
        yield data[:place]

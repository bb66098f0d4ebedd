"""Mutations that keep the outer form of an input, so that more of them get past the first check."""

from __future__ import annotations

import copy
import json
import random
import struct
import zlib
from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

Bytes = Callable[[bytes, int], bytes]
"""Mutates bytes to at most so many."""
_PNG = b"\x89PNG\r\n\x1a\n"
_VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    1,
    -1,
    2**31,
    2**63,
    10**400,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "x",
    [],
    {},
    [[]],
)
_TEXTS = ("", "\0", "#fff", "#zzz", "../../etc/passwd", "\u202e", "𝕏" * 40, "a" * 3000, "nan", "1e999", "-0")


def plain(data: bytes, most: int, rng: random.Random) -> bytes:
    """A few random edits: for where libFuzzer's own are not at hand."""
    values = bytearray(data or b"\0")
    for _ in range(rng.randint(1, 6)):
        place = rng.randrange(len(values) or 1)
        kind = rng.randrange(5)
        if kind == 0 and values:
            values[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            values[place:place] = rng.randbytes(rng.randint(1, 8))
        elif kind == 2:
            del values[place : place + rng.randint(1, 16)]
        elif kind == 3:
            values[place : place + 4] = struct.pack(rng.choice("<>") + "I", rng.choice((0, 1, 2**31, 2**32 - 1, 65535)))
        else:
            values[place:place] = values[place : place + rng.randint(1, 64)]
    return bytes(values[:most])


def png(data: bytes, rng: random.Random) -> bytes:
    """A PNG whose chunks have the right sums again, mostly: a wrong one ends the reading at once."""
    if not data.startswith(_PNG) or rng.random() < 0.2:
        return data
    place, parts = len(_PNG), [_PNG]
    while place + 12 <= len(data):
        length = min(int.from_bytes(data[place : place + 4], "big"), len(data) - place - 12)
        body = data[place + 4 : place + 8 + length]
        parts.append(length.to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big"))
        place += 12 + length
    return b"".join(parts)


def document(data: bytes, most: int, rng: random.Random, mutate: Bytes) -> bytes:
    """JSON with a few values replaced, removed or mutated."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        return mutate(data, most)
    for _ in range(rng.randint(1, 3)):
        _change(content, rng, mutate)
    return json.dumps(content).encode()[:most]


def _change(node: Any, rng: random.Random, mutate: Bytes) -> None:
    while isinstance(node, dict | list) and node:
        key = rng.choice(list(node) if isinstance(node, dict) else range(len(node)))
        if isinstance(node[key], dict | list) and node[key] and rng.random() < 0.85:
            node = node[key]
            continue
        kind = rng.randrange(5)
        if kind == 0:
            del node[key]
        elif kind == 1 and isinstance(node[key], str):
            node[key] = mutate(node[key].encode(errors="replace"), 200).decode(errors="replace")
        elif kind == 2 and isinstance(node[key], int | float):
            node[key] = rng.choice((-node[key], node[key] + 1, node[key] // 3, str(node[key])))
        elif kind == 3 and isinstance(node, dict):
            node[rng.choice(("x", "", "format", str(key) + "2"))] = node[key]
        else:
            node[key] = copy.deepcopy(rng.choice(_VALUES))
        return


def message(kind: type[Message], data: bytes, most: int, rng: random.Random, mutate: Bytes) -> bytes:
    """A message with a few fields set, cleared, repeated or mutated; sometimes its bytes themselves are."""
    whole = kind()
    try:
        whole.ParseFromString(data)
    except DecodeError:
        return mutate(data, most)
    if rng.random() < 0.05:
        return mutate(data, most)
    for _ in range(rng.randint(1, 3)):
        _edit(whole, rng, mutate)
    try:
        changed = whole.SerializeToString()
    except ValueError:  # too large
        return data
    return changed if len(changed) <= most else data


def _edit(whole: Message, rng: random.Random, mutate: Bytes, depth: int = 0) -> None:
    fields: list[Any] = list(whole.DESCRIPTOR.fields)
    present: list[Any] = [field for field, _ in whole.ListFields()]
    if not fields:
        return
    field: Any = rng.choice(present if present and rng.random() < 0.7 else fields)
    inner = field.message_type is not None
    if field in present and rng.random() < 0.08:
        whole.ClearField(field.name)
    elif field.is_repeated:
        values = getattr(whole, field.name)
        if inner:
            _edit(rng.choice(values) if len(values) and rng.random() < 0.7 else values.add(), rng, mutate, depth + 1)
        elif len(values) and rng.random() < 0.7:
            values[rng.randrange(len(values))] = _value(field, values[0], rng, mutate)
        else:
            values.append(_value(field, None, rng, mutate))
    elif inner:
        getattr(whole, field.name).SetInParent()
        if depth < 6:
            _edit(getattr(whole, field.name), rng, mutate, depth + 1)
    else:
        setattr(whole, field.name, _value(field, getattr(whole, field.name), rng, mutate))


def _value(field: Any, old: Any, rng: random.Random, mutate: Bytes) -> Any:
    kind = field.type
    if kind == FieldDescriptor.TYPE_BYTES:
        return png(mutate(old or b"", 20_000), rng)
    if kind == FieldDescriptor.TYPE_STRING:
        if rng.random() < 0.3:
            return rng.choice(_TEXTS)
        return mutate((old or "a").encode(), 400).decode(errors="replace")
    if kind == FieldDescriptor.TYPE_BOOL:
        return rng.random() < 0.5
    if kind in (FieldDescriptor.TYPE_FLOAT, FieldDescriptor.TYPE_DOUBLE):
        return rng.choice((0.0, -1.0, 0.5, 1.0, 1e-30, 1e30, float("nan"), float("inf"), rng.uniform(-2, 20)))
    if kind == FieldDescriptor.TYPE_ENUM:
        return rng.choice((0, 1, 2, 3, 99, -1))
    bits = (
        31 if kind in (FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_SINT32, FieldDescriptor.TYPE_SFIXED32) else 32
    )
    bits = 63 if kind in (FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_UINT64) else bits
    signed = kind in (FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_SINT32)
    return rng.choice(
        (0, 1, 2, 3, 64, 65, 4096, 2**bits - 1, rng.randrange(200), *([-1, -(2**bits)] if signed else []))
    )

"""Values as bytes: an envelope with a digest, and in it arrays with their names, dtypes and shapes. Never pickle.

    envelope   "BDC1"  sha256 of (context, body) [32]  body
    body       header length, uint32 little-endian  header, JSON padded with spaces  the arrays' bytes
    header     [{"name": …, "dtype": "<f4", "shape": […]}, …]

The context is the key under which the bytes are stored. So a value that was copied to another key, by mistake or on
purpose, is as corrupt as a truncated one.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

_MAGIC = b"BDC1"
_DIGEST_BYTES = 32
_ALIGNMENT = 64
# Plain numbers only: an object array is stored by pickle.
_KINDS = "biufc"


class CacheCorrupt(Exception):  # noqa: N818  # the name says what is wrong
    """The bytes are not a value that was stored under this key."""


def seal(body: bytes, context: bytes = b"") -> bytes:
    """Returns `body` in an envelope that opens only if it is complete and the context is the same."""
    return _MAGIC + _digest(body, context) + body


def unseal(data: bytes, context: bytes = b"") -> memoryview:
    """Returns the body of an envelope, without copying it.

    Raises:
        CacheCorrupt: the bytes are foreign, truncated, changed, or sealed in another context.
    """
    start = len(_MAGIC) + _DIGEST_BYTES
    if data[: len(_MAGIC)] != _MAGIC:
        raise CacheCorrupt("the bytes are not an envelope")
    body = memoryview(data)[start:]
    if data[len(_MAGIC) : start] != _digest(body, context):
        raise CacheCorrupt("the digest does not fit the bytes")
    return body


def encode(arrays: Mapping[str, npt.NDArray[Any]], context: bytes = b"") -> bytes:
    """Returns named arrays as sealed bytes.

    Raises:
        TypeError: an array does not hold plain numbers.
    """
    header, blocks = [], []
    for name, array in arrays.items():
        if array.dtype.kind not in _KINDS:
            raise TypeError(f"{name} holds {array.dtype}, not plain numbers")
        little = array.dtype.newbyteorder("<")
        block = np.ascontiguousarray(array, dtype=little).tobytes()
        header.append({"name": name, "dtype": little.str, "shape": list(array.shape)})
        blocks += [block, bytes(-len(block) % _ALIGNMENT)]
    text = json.dumps(header).encode()
    text += b" " * (-(len(_MAGIC) + _DIGEST_BYTES + 4 + len(text)) % _ALIGNMENT)
    return seal(b"".join((len(text).to_bytes(4, "little"), text, *blocks)), context)


def decode(data: bytes, context: bytes = b"") -> dict[str, npt.NDArray[Any]]:
    """Returns the arrays that `encode` was given: read-only views of `data`.

    Raises:
        CacheCorrupt: the bytes are not what `encode` makes, in this context.
    """
    body = unseal(data, context)
    try:
        return _unpack(body)
    except (ValueError, KeyError, TypeError, SyntaxError, RecursionError, OverflowError):
        raise CacheCorrupt("the header does not describe the bytes") from None


def _unpack(body: memoryview) -> dict[str, npt.NDArray[Any]]:
    start = 4 + int.from_bytes(body[:4], "little")
    arrays = {}
    for entry in json.loads(bytes(body[4:start])):
        dtype, shape = np.dtype(str(entry["dtype"])), [int(size) for size in entry["shape"]]
        stop = start + math.prod(shape) * dtype.itemsize
        if dtype.kind not in _KINDS or min(shape, default=0) < 0 or stop > len(body):
            raise ValueError(f"{entry['name']} does not lie in the bytes")
        arrays[str(entry["name"])] = np.frombuffer(body[start:stop], dtype).reshape(shape)
        start = stop + -(stop - start) % _ALIGNMENT
    return arrays


def _digest(body: bytes | memoryview, context: bytes) -> bytes:
    digest = hashlib.sha256(len(context).to_bytes(8, "little") + context)
    digest.update(body)
    return digest.digest()

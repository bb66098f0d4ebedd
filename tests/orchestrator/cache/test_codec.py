"""Arrays to bytes and back, and every kind of bytes that are not ours."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from orchestrator.cache import CacheCorrupt, decode, encode
from orchestrator.cache.codec import seal, unseal

dtypes = st.one_of(
    hnp.boolean_dtypes(),
    hnp.integer_dtypes(endianness="?"),
    hnp.unsigned_integer_dtypes(endianness="?"),
    hnp.floating_dtypes(endianness="?", sizes=(16, 32, 64)),
    hnp.complex_number_dtypes(endianness="?", sizes=(64, 128)),
)
arrays = hnp.arrays(dtypes, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))
VALUE: dict[str, npt.NDArray[Any]] = {
    "hidden": np.arange(12, dtype=np.float32).reshape(3, 4),
    "ids": np.array([1, -2], np.int64),
}


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.text(max_size=8), arrays, max_size=4), st.binary(max_size=8))
def test_what_goes_in_comes_out(value: dict[str, npt.NDArray[Any]], context: bytes) -> None:
    back = decode(encode(value, context), context)
    assert back.keys() == value.keys()
    for name, array in value.items():
        assert back[name].shape == array.shape
        assert back[name].dtype == array.dtype.newbyteorder("<")
        assert back[name].tobytes() == array.astype(array.dtype.newbyteorder("<")).tobytes()
        assert not back[name].flags.writeable


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300))
def test_foreign_bytes_are_corrupt(data: bytes) -> None:
    with pytest.raises(CacheCorrupt):
        decode(data)
    with pytest.raises(CacheCorrupt):
        decode(b"BDC1" + data)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_every_flipped_bit_and_every_cut_is_noticed(data: st.DataObject) -> None:
    good = bytearray(encode(VALUE))
    where = data.draw(st.integers(0, len(good) * 8 - 1))
    cut = bytes(good[: where // 8])
    good[where // 8] ^= 1 << where % 8
    for bad in (bytes(good), cut, bytes(encode(VALUE)) + b"\0"):
        with pytest.raises(CacheCorrupt):
            decode(bad)


def test_a_value_under_another_key_is_corrupt() -> None:
    with pytest.raises(CacheCorrupt):
        decode(encode(VALUE, b"key 1"), b"key 2")
    with pytest.raises(CacheCorrupt):
        unseal(seal(b"body", b"a"), b"")


@pytest.mark.parametrize(
    "header",
    [
        {"name": "x", "dtype": "O", "shape": [1]},
        {"name": "x", "dtype": "<f4,<f4", "shape": [1]},
        {"name": "x", "dtype": "no such", "shape": [1]},
        {"name": "x", "dtype": "<f4", "shape": [-1]},
        {"name": "x", "dtype": "<f4", "shape": [10**30]},
        {"name": "x", "dtype": "<f4", "shape": ["a"]},
        {"name": "x", "dtype": "<f4", "shape": [1] * 70},
        {"name": "x", "dtype": "<f4", "shape": 1},
        {"dtype": "<f4", "shape": [1]},
        "x",
        None,
    ],
)
def test_a_header_that_lies_is_corrupt_even_with_the_right_digest(header: object) -> None:
    text = json.dumps([header]).encode()
    with pytest.raises(CacheCorrupt):
        decode(seal(len(text).to_bytes(4, "little") + text + bytes(64)))


def test_data_is_aligned_and_not_copied() -> None:
    data = encode(VALUE)
    decoded = decode(data)
    assert all(array.base is not None for array in decoded.values())
    assert hashlib.sha256(data).digest() != hashlib.sha256(encode({})).digest()


def test_objects_and_text_are_refused() -> None:
    for array in (np.array([object()]), np.array(["text"]), np.array([b"bytes"]), np.zeros(1, "f4,f4")):
        with pytest.raises(TypeError, match="plain numbers"):
            encode({"x": array})

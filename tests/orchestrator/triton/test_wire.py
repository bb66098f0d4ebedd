"""The wire: constants are placed once, the rest goes as bytes, and what is known of an array dies with it."""

from __future__ import annotations

import gc

import numpy as np
import pytest

from orchestrator.triton.shared_memory import Region, Sharing
from orchestrator.triton.wire import Wire, open_wire


@pytest.fixture
def wire():
    wire = Wire(Region(1 << 20, "backdrop_test_"))
    yield wire
    wire.close()


def constant(rows=2, width=2048, seed=0):
    array = np.random.default_rng(seed).standard_normal((rows, width), dtype=np.float32)
    array.flags.writeable = False
    return array


def one(wire, array, *, by_reference=True):
    (tensor,) = wire.tensors({"x": array}, by_reference=by_reference)
    return tensor


def reference(tensor):
    parameters = tensor._get_tensor().parameters
    assert tensor._get_content() is None
    return parameters["shared_memory_offset"].int64_param, parameters["shared_memory_byte_size"].int64_param


def seen(wire, tensor):
    """What a server that has the region open would read."""
    offset, size = reference(tensor)
    return wire.region._memory[offset : offset + size]


def test_a_constant_goes_as_bytes_first_and_by_reference_from_then_on(wire) -> None:
    array = constant()
    assert one(wire, array)._get_content() == array.tobytes()
    for _ in range(3):
        tensor = one(wire, array)
        assert seen(wire, tensor) == array.tobytes()
        assert (tensor.name(), list(tensor.shape()), tensor.datatype()) == ("x", [2, 2048], "FP32")
    assert wire.region.used == array.nbytes


def test_rows_of_a_constant_share_its_place(wire) -> None:
    array = constant()
    for _ in range(3):
        whole, first, second = one(wire, array), one(wire, array[:1]), one(wire, array[1:])
    assert wire.region.used == array.nbytes
    assert seen(wire, whole) == array.tobytes()
    assert seen(wire, first) == array[:1].tobytes()
    assert seen(wire, second) == array[1:].tobytes()


def test_a_server_that_does_not_see_the_region_gets_bytes(wire) -> None:
    array = constant()
    assert [one(wire, array, by_reference=False)._get_content() for _ in range(3)] == [array.tobytes()] * 3
    assert (wire.region.used, wire.remembered) == (0, 0)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 2048), np.float32),  # may change before the next call
        constant(1, 100),  # too small to be worth it
        constant(64, 64)[:, ::2],  # in pieces
    ],
    ids=["writeable", "small", "strided"],
)
def test_what_is_no_constant_goes_as_bytes_every_time(wire, array) -> None:
    tensors = [one(wire, array) for _ in range(3)]
    assert [tensor._get_content() for tensor in tensors] == [array.tobytes()] * 3
    assert wire.region.used == 0


def test_a_view_that_cannot_be_written_to_is_no_constant_while_its_owner_can(wire) -> None:
    owner = np.zeros((2, 2048), np.float32)
    view = owner[:]
    view.flags.writeable = False
    one(wire, view)
    owner[...] = 7
    assert one(wire, view)._get_content() == owner.tobytes()


def test_what_is_known_of_an_array_dies_with_it(wire) -> None:
    for seed in range(200):
        array = constant(seed=seed)
        for _ in range(3):
            tensor = one(wire, array)
        assert seen(wire, tensor) == array.tobytes(), "a number that is used again must not bring back another array"
        del array
    gc.collect()
    assert wire.remembered == 0
    assert wire.region.used == 0


def test_where_there_is_no_room_bytes_go_as_before(wire) -> None:
    large, small = constant(2, 200_000), constant(2, 2048, seed=1)
    for _ in range(3):
        assert one(wire, large)._get_content() == large.tobytes()
        tensor = one(wire, small)
    assert seen(wire, tensor) == small.tobytes()


def test_without_a_region_everything_goes_as_bytes() -> None:
    wire, array = Wire(), constant()
    assert [one(wire, array, by_reference=False)._get_content() for _ in range(3)] == [array.tobytes()] * 3


def test_a_wire_is_opened_with_memory_only_where_somebody_may_share_it() -> None:
    assert open_wire(Sharing.AUTO, ["10.0.0.1:8001"], 1 << 20).region is None
    assert open_wire(Sharing.OFF, ["127.0.0.1:8001"], 1 << 20).region is None
    assert open_wire(Sharing.AUTO, ["127.0.0.1:8001"], 1 << 50).region is None, "there is not so much memory"
    wire = open_wire(Sharing.AUTO, ["127.0.0.1:8001"], 1 << 20, "backdrop_test_")
    assert wire.region is not None
    assert wire.region.name.startswith("backdrop_test_")
    wire.close()
    assert wire.region is None

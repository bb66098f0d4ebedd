"""The wire: constants are placed once, other arrays go as bytes, and what is remembered dies with its array."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pytest

from orchestrator.triton.shared_memory import FOLDER, Region, Sharing
from orchestrator.triton.wire import Wire, open_wire
from tests.orchestrator.triton.receiver import Received, Receiver, receiving

Array = npt.NDArray[np.float32]
Send = Callable[..., Received]


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def region() -> Region:
    """One that the wire of the test closes."""
    return Region(1 << 20, "backdrop_test_")


@pytest.fixture
def wire(region: Region) -> Iterator[Wire]:
    wire = Wire(region)
    yield wire
    wire.close()


@pytest.fixture
def send(wire: Wire, receiver: Receiver) -> Send:
    """Sends one array over the wire, and returns what a server received."""

    def send(array: Array, *, by_reference: bool = True, wire: Wire = wire) -> Received:
        (received,) = receiver.receive(wire.tensors({"x": array}, by_reference=by_reference))
        return received

    return send


def constant(rows: int = 2, width: int = 2048, seed: int = 0) -> Array:
    array = np.random.default_rng(seed).standard_normal((rows, width), dtype=np.float32)
    array.flags.writeable = False
    return array


def test_a_constant_goes_as_bytes_first_and_by_reference_from_then_on(send: Send, region: Region) -> None:
    array = constant()
    assert send(array).message == array.tobytes()
    for _ in range(3):
        assert send(array) == Received("x", "FP32", (2, 2048), None, array.tobytes())
    assert region.used == array.nbytes


def test_rows_of_a_constant_share_its_place(send: Send, region: Region) -> None:
    array = constant()
    for _ in range(3):
        whole, first, second = send(array), send(array[:1]), send(array[1:])
    assert region.used == array.nbytes
    assert [each.message for each in (whole, first, second)] == [None] * 3
    assert whole.content == array.tobytes()
    assert first.content == array[:1].tobytes()
    assert second.content == array[1:].tobytes()


def test_a_server_that_does_not_see_the_region_gets_bytes(send: Send, wire: Wire, region: Region) -> None:
    array = constant()
    assert [send(array, by_reference=False).message for _ in range(3)] == [array.tobytes()] * 3
    assert (region.used, wire.remembered) == (0, 0)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 2048), np.float32),  # may change before the next call
        constant(1, 100),  # too small to be worth it
        constant(64, 64)[:, ::2],  # in pieces
    ],
    ids=["writeable", "small", "strided"],
)
def test_what_is_no_constant_goes_as_bytes_every_time(send: Send, region: Region, array: Array) -> None:
    assert [send(array).message for _ in range(3)] == [array.tobytes()] * 3
    assert region.used == 0


def test_a_view_that_cannot_be_written_to_is_no_constant_while_its_owner_can(send: Send) -> None:
    owner = np.zeros((2, 2048), np.float32)
    view = owner[:]
    view.flags.writeable = False
    send(view)
    owner[...] = 7
    assert send(view).message == owner.tobytes()


def test_what_is_known_of_an_array_dies_with_it(send: Send, wire: Wire, region: Region) -> None:
    for seed in range(200):
        array = constant(seed=seed)
        for _ in range(3):
            received = send(array)
        assert received.message is None
        assert received.content == array.tobytes(), "a number that is used again must not bring back another array"
        del array
    gc.collect()
    assert wire.remembered == 0
    assert region.used == 0


def test_where_there_is_no_room_bytes_go_as_before(send: Send) -> None:
    large, small = constant(2, 200_000), constant(2, 2048, seed=1)
    for _ in range(3):
        assert send(large).message == large.tobytes()
        received = send(small)
    assert (received.message, received.content) == (None, small.tobytes())


def test_without_a_region_everything_goes_as_bytes(send: Send) -> None:
    wire, array = Wire(), constant()
    assert [send(array, by_reference=False, wire=wire).message for _ in range(3)] == [array.tobytes()] * 3


def test_a_wire_is_opened_with_memory_only_where_somebody_may_share_it() -> None:
    assert open_wire(Sharing.AUTO, ["10.0.0.1:8001"], 1 << 20).region is None
    assert open_wire(Sharing.OFF, ["127.0.0.1:8001"], 1 << 20).region is None
    assert open_wire(Sharing.AUTO, ["127.0.0.1:8001"], 1 << 50).region is None, "there is not so much memory"
    wire = open_wire(Sharing.AUTO, ["127.0.0.1:8001"], 1 << 20, "backdrop_test_")
    assert wire.region is not None
    assert wire.region.name.startswith("backdrop_test_")
    path = FOLDER / wire.region.name
    wire.close()
    assert not path.exists()

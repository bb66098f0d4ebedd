"""Shared memory: arrays never overlap, what is freed is used again, and nothing outlives a process that was killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.triton import shared_memory
from orchestrator.triton.shared_memory import FOLDER, Region, Sharing, abandoned, sweep

PAGE = 4096


@pytest.fixture
def region() -> Iterator[Region]:
    region = Region(16 * PAGE, "backdrop_test_")
    yield region
    region.close()


def content(region: Region, offset: int, size: int) -> bytes:
    return (FOLDER / region.name).read_bytes()[offset : offset + size]


def test_an_array_lies_where_it_was_placed_in_c_order(region: Region) -> None:
    array = np.arange(60, dtype=np.float32).reshape(3, 4, 5).transpose(2, 0, 1)
    offset = region.place(array)
    assert offset is not None
    assert offset % 64 == 0
    assert content(region, offset, array.nbytes) == array.tobytes()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 6 * PAGE)), max_size=60))
def test_no_two_arrays_overlap_and_everything_comes_back(steps: list[tuple[bool, int]]) -> None:
    region = Region(16 * PAGE, "backdrop_test_")
    try:
        held: dict[int, bytes] = {}
        for number, (place, size) in enumerate(steps):
            if place or not held:
                array = np.full(size, number % 251, np.uint8)
                offset = region.place(array)
                if offset is None:
                    assert held, "an empty region has room for all of these"
                    continue
                assert offset not in held
                held[offset] = array.tobytes()
            else:
                offset = sorted(held)[size % len(held)]
                del held[offset]
                region.free(offset)
            for offset, data in held.items():
                assert content(region, offset, len(data)) == data
        for offset in held:
            region.free(offset)
        assert region.used == 0
        assert region.place(np.zeros(16 * PAGE, np.uint8)) == 0, "the gaps have grown together again"
    finally:
        region.close()


def test_a_region_larger_than_the_memory_is_refused_and_leaves_nothing() -> None:
    before = set(FOLDER.iterdir())
    with pytest.raises(OSError, match=r"space|large|memory"):
        Region(1 << 50, "backdrop_test_")
    assert set(FOLDER.iterdir()) <= before


def hold(pipe: Connection) -> None:
    region = Region(PAGE, "backdrop_test_")
    pipe.send(region.name)
    time.sleep(60)


def test_what_a_killed_process_left_is_swept_and_what_a_living_one_holds_is_not(region: Region) -> None:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=hold, args=(theirs,))
    process.start()
    name = ours.recv()
    assert not abandoned(name)
    assert name not in sweep()
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert abandoned(name)
    assert name in sweep()
    assert not (FOLDER / name).exists()
    assert (FOLDER / region.name).exists()


def test_only_our_own_regions_are_swept() -> None:
    other = FOLDER / f"{shared_memory.PREFIX}test_of_somebody_else"
    other.touch()
    try:
        assert other.name not in sweep()
        assert other.exists()
    finally:
        other.unlink()


@pytest.mark.parametrize(
    ("sharing", "address", "covered"),
    [
        (Sharing.AUTO, "127.0.0.1:8001", True),
        (Sharing.AUTO, "localhost:8001", True),
        (Sharing.AUTO, "[::1]:8001", True),
        (Sharing.AUTO, "10.0.0.7:8001", False),
        (Sharing.AUTO, "dns:///triton:8001", False),
        (Sharing.ON, "10.0.0.7:8001", True),
        (Sharing.OFF, "127.0.0.1:8001", False),
    ],
)
def test_memory_is_shared_with_this_host_alone_unless_set_otherwise(
    sharing: Sharing, address: str, covered: bool
) -> None:
    assert sharing.covers(address) is covered

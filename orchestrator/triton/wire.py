"""How arrays get to a server: as bytes in the message, or by reference to memory that both see.

Most of what a step sends is the same at every step. A read-only array that is sent a second time is taken for such a
constant: it is placed once in memory that a server on this host sees too, and every further message refers to it
(docs/decisions/0019-the-wire.md has what that saves).
"""

from __future__ import annotations

import collections
import dataclasses
import weakref
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import structlog
from tritonclient.grpc import InferInput

from orchestrator.triton.shared_memory import PREFIX, Region, Sharing, sweep
from orchestrator.triton.tensors import Arrays, in_full, in_region

log = structlog.get_logger("orchestrator.triton")

# Below that, a reference and its bookkeeping are no cheaper than the bytes.
_LEAST_BYTES = 4096


@dataclasses.dataclass
class _Constant:
    """What is known of one array's memory for as long as the array lives."""

    gone: weakref.ref[npt.NDArray[Any]]
    offset: int | None = None
    """Where the whole array lies in the region."""
    refused: bool = False
    """There was no room for it."""


class Wire:
    """Turns arrays into tensors, and remembers those that come again.

    Args:
        region: memory shared with servers on this host; None = bytes for everybody.
    """

    def __init__(self, region: Region | None = None) -> None:
        self.region = region
        self._constants: dict[int, _Constant] = {}
        # Arrays may die in any thread, and in the middle of anything: their end is only noted there.
        self._dead: collections.deque[int] = collections.deque()

    @property
    def remembered(self) -> int:
        """Arrays that are known now."""
        self._let_go()
        return len(self._constants)

    def tensors(self, inputs: Arrays, *, by_reference: bool) -> list[InferInput]:
        """Returns arrays that `batch_rows` accepts as Triton takes them.

        `by_reference` says that the server sees the region; what finds no room in it goes as bytes.
        """
        self._let_go()
        return [self._tensor(name, array, by_reference=by_reference) for name, array in inputs.items()]

    def _tensor(self, name: str, array: npt.NDArray[Any], *, by_reference: bool) -> InferInput:
        if not by_reference or array.nbytes < _LEAST_BYTES or not array.flags.c_contiguous:
            return in_full(name, array)
        owner = _owner(array)
        offset = None if owner.flags.writeable or not owner.flags.c_contiguous else self._offset(owner)
        if offset is None or self.region is None:
            return in_full(name, array)
        return in_region(name, array, self.region.name, offset + _address(array) - _address(owner))

    def _offset(self, owner: npt.NDArray[Any]) -> int | None:
        """Where the array lies as a whole; None when it comes for the first time, or there is no room for it."""
        constant = self._constants.get(id(owner))
        if constant is None:
            note, number = self._dead.append, id(owner)
            self._constants[number] = _Constant(weakref.ref(owner, lambda _: note(number)))
            return None
        if constant.offset is None and not constant.refused and self.region is not None:
            constant.offset = self.region.place(owner)
            constant.refused = constant.offset is None
        return constant.offset

    def _let_go(self) -> None:
        while self._dead:
            constant = self._constants.pop(self._dead.popleft(), None)
            if constant is not None and constant.offset is not None and self.region is not None:
                self.region.free(constant.offset)

    def close(self) -> None:
        """Removes the region."""
        if self.region is not None:
            self.region.close()
            self.region = None


def open_wire(sharing: Sharing, endpoints: Iterable[str], size: int, prefix: str = PREFIX) -> Wire:
    """A wire with a region of `size` bytes where some endpoint may share it and there is room for one, else without."""
    if not any(sharing.covers(endpoint) for endpoint in endpoints):
        return Wire()
    try:
        left = sweep()
        region = Region(size, prefix)
    except OSError as problem:
        log.warning("no shared memory", bytes=size, why=str(problem))
        return Wire()
    log.info("shared memory", region=region.name, bytes=size, swept=left)
    return Wire(region)


def _owner(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return array.base if isinstance(array.base, np.ndarray) else array


def _address(array: npt.NDArray[Any]) -> int:
    address: int = array.__array_interface__["data"][0]
    return address

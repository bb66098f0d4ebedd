"""How arrays get to a server: as bytes in the message, or by reference to memory that both processes see.

Most of what a step sends is the same at every step. A read-only array that is sent a second time counts as such a
constant: it is copied once into memory that a server on this host sees too, and every further message refers to it
(docs/decisions/0019-the-wire.md has what that saves).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy.typing as npt
import structlog
from tritonclient.grpc import InferInput

from orchestrator.triton.shared_memory import PREFIX, Region, Sharing, sweep
from orchestrator.triton.tensors import Arrays, in_full, in_region
from orchestrator.weak_arrays import WeakArrays, address_of, owner_of

log = structlog.get_logger("orchestrator.triton")

# Below that, a reference and its bookkeeping cost as much as the bytes.
_MIN_BYTES = 4096


@dataclasses.dataclass
class _Constant:
    """Where a repeating array is."""

    offset: int | None = None
    """Of the whole array in the region; None = not there."""
    refused: bool = False
    """The region had no room for it."""


class Wire:
    """Turns arrays into tensors, and remembers arrays that may repeat.

    Args:
        region: memory shared with servers on this host; None = bytes for every server.
    """

    def __init__(self, region: Region | None = None) -> None:
        self.region = region
        self._constants: WeakArrays[int, _Constant] = WeakArrays(dropped=self._free)

    @property
    def remembered(self) -> int:
        """Number of live arrays that were sent and may repeat."""
        return len(self._constants)

    def tensors(self, inputs: Arrays, *, by_reference: bool) -> list[InferInput]:
        """Returns the inputs as Triton takes them; `batch_rows` accepts them.

        `by_reference` says that the server sees the region; an array that has no room in it goes as bytes.
        """
        self._constants.collect()
        return [self._tensor(name, array, by_reference=by_reference) for name, array in inputs.items()]

    def _tensor(self, name: str, array: npt.NDArray[Any], *, by_reference: bool) -> InferInput:
        if not by_reference or array.nbytes < _MIN_BYTES or not array.flags.c_contiguous:
            return in_full(name, array)
        owner = owner_of(array)
        offset = None if owner.flags.writeable or not owner.flags.c_contiguous else self._offset(owner)
        if offset is None or self.region is None:
            return in_full(name, array)
        return in_region(name, array, self.region.name, offset + address_of(array) - address_of(owner))

    def _offset(self, owner: npt.NDArray[Any]) -> int | None:
        """Where the whole array is in the region; None if it is sent for the first time, or has no room there."""
        constant = self._constants.get(id(owner))
        if constant is None:
            self._constants.put(id(owner), _Constant(), [owner])
            return None
        if constant.offset is None and not constant.refused and self.region is not None:
            constant.offset = self.region.place(owner)
            constant.refused = constant.offset is None
        return constant.offset

    def _free(self, constant: _Constant) -> None:
        if constant.offset is not None and self.region is not None:
            self.region.free(constant.offset)

    def close(self) -> None:
        """Removes the region."""
        if self.region is not None:
            self.region.close()
            self.region = None


def open_wire(sharing: Sharing, endpoints: Iterable[str], size: int, prefix: str = PREFIX) -> Wire:
    """A wire with a region of `size` bytes if an endpoint may share it and the memory is there, else without one."""
    if not any(sharing.covers(endpoint) for endpoint in endpoints):
        return Wire()
    try:
        swept = sweep()
        region = Region(size, prefix)
    except OSError as problem:
        log.warning("no shared memory", bytes=size, why=str(problem))
        return Wire()
    log.info("shared memory", region=region.name, bytes=size, swept=swept)
    return Wire(region)

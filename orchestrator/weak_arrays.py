"""What is derived from arrays that repeat, kept for as long as the arrays live."""

from __future__ import annotations

import collections
import weakref
from collections.abc import Callable, Hashable, Iterable
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class WeakArrays(Generic[K, V]):
    """Values by key; a value is dropped when one of the arrays that it was derived from is gone.

    Args:
        most: values to keep; the one that was used longest ago is dropped first. None = no bound.
        dropped: called with each value whose arrays are gone.
    """

    def __init__(self, most: int | None = None, dropped: Callable[[V], None] = lambda value: None) -> None:
        self._values: collections.OrderedDict[K, tuple[V, list[weakref.ref[npt.NDArray[Any]]]]] = (
            collections.OrderedDict()
        )
        self._most = most
        self._dropped = dropped
        # An array may be freed in any thread and between any two operations: its end is only noted there.
        self._gone: collections.deque[K] = collections.deque()

    def __len__(self) -> int:
        self.collect()
        return len(self._values)

    def collect(self) -> None:
        """Drops the values whose arrays are gone; before any look-up, since keys may be addresses."""
        while self._gone:
            entry = self._values.pop(self._gone.popleft(), None)
            if entry is not None:
                self._dropped(entry[0])

    def get(self, key: K) -> V | None:
        """The value of a key, now the most recently used; None if there is none."""
        entry = self._values.get(key)
        if entry is None:
            return None
        self._values.move_to_end(key)
        return entry[0]

    def put(self, key: K, value: V, owners: Iterable[npt.NDArray[Any]]) -> None:
        """Keeps a value for as long as all of its owners live."""
        note = self._gone.append
        unique = {id(owner): owner for owner in owners}.values()
        self._values[key] = value, [weakref.ref(owner, lambda _: note(key)) for owner in unique]
        if self._most is not None and len(self._values) > self._most:
            self._values.popitem(last=False)


def owner_of(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The array whose memory a view shows; the array itself if it is no view."""
    return array.base if isinstance(array.base, np.ndarray) else array


def address_of(array: npt.NDArray[Any]) -> int:
    """Where the array's memory begins."""
    address: int = array.__array_interface__["data"][0]
    return address

"""Calls as one batch, and its outputs as the calls' own."""

from __future__ import annotations

import collections
import dataclasses
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from orchestrator.scheduling.call import Arrays, Outputs

_COMPOSITIONS = 4
"""Two batches of a model may be out in turn, and companies change."""


@dataclasses.dataclass
class _Composition:
    arrays: dict[str, npt.NDArray[Any]]
    parts: list[weakref.ref[npt.NDArray[Any]]]


class Merger:
    """Lays the rows of several calls behind one another.

    What the calls made read-only comes again with their next step (docs/decisions/0019-the-wire.md). As long as the
    same calls travel together, the same read-only array stands for them, so the wire can refer to that, too.
    """

    def __init__(self) -> None:
        self._known: collections.OrderedDict[tuple[Any, ...], _Composition] = collections.OrderedDict()
        # Arrays may die in any thread, and in the middle of anything: their end is only noted there.
        self._dead: collections.deque[tuple[Any, ...]] = collections.deque()

    @property
    def remembered(self) -> int:
        """Companies whose constants are kept."""
        self._let_go()
        return len(self._known)

    def merge(self, calls: Sequence[Arrays]) -> Arrays:
        """Returns one batch of all rows; a call that is alone stays as it is.

        The calls have the same inputs, of the same shapes but for the rows.
        """
        if len(calls) == 1:
            return calls[0]
        constant = [name for name, value in calls[0].items() if not any(call[name].flags.writeable for call in calls)]
        joined = self._constants(calls, constant) if constant else {}
        return {
            name: joined[name] if name in joined else np.concatenate([call[name] for call in calls])
            for name in calls[0]
        }

    def _constants(self, calls: Sequence[Arrays], names: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
        self._let_go()
        parts = [call[name] for call in calls for name in names]
        # Views are made anew at each step; what they look at is not.
        key = tuple((part.__array_interface__["data"][0], part.shape) for part in parts)
        found = self._known.get(key)
        if found is None:
            arrays = {name: np.concatenate([call[name] for call in calls]) for name in names}
            for value in arrays.values():
                value.flags.writeable = False
            note = self._dead.append
            owners = {id(owner): owner for owner in map(_owner, parts)}.values()
            found = _Composition(arrays, [weakref.ref(owner, lambda _: note(key)) for owner in owners])
            self._known[key] = found
            if len(self._known) > _COMPOSITIONS:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        return found.arrays

    def _let_go(self) -> None:
        while self._dead:
            self._known.pop(self._dead.popleft(), None)


def split(outputs: Arrays, rows: Sequence[int]) -> list[Outputs]:
    """The outputs of calls that had so many rows each: views of those of their batch."""
    ends = np.cumsum(rows)
    return [
        {name: value[end - count : end] for name, value in outputs.items()}
        for count, end in zip(rows, ends, strict=True)
    ]


def _owner(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return array.base if isinstance(array.base, np.ndarray) else array

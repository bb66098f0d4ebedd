"""Calls merged into one batch or cut into several, and the outputs brought back to the calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from orchestrator.scheduling.call import Arrays, Outputs
from orchestrator.weak_arrays import WeakArrays, address_of, owner_of

_SETS = 4
"""Sets of batch-mates whose constants are kept: two batches of a model may alternate, and the sets change."""

_Key = tuple[tuple[int, tuple[int, ...]], ...]


class Merger:
    """Concatenates the rows of several calls.

    Inputs that the calls made read-only repeat with their next step (docs/decisions/0019-the-wire.md). While the same
    calls share their batches, the same read-only array stands for them, so the wire can refer to that one, too.
    """

    def __init__(self) -> None:
        self._constants: WeakArrays[_Key, dict[str, npt.NDArray[Any]]] = WeakArrays(most=_SETS)

    @property
    def remembered(self) -> int:
        """Sets of batch-mates whose constants are kept now."""
        return len(self._constants)

    def merge(self, calls: Sequence[Arrays]) -> Arrays:
        """Returns one batch of all rows; a single call stays as it is.

        The calls have the same inputs, of the same shapes but for the rows.
        """
        if len(calls) == 1:
            return calls[0]
        constant = [name for name, value in calls[0].items() if not any(call[name].flags.writeable for call in calls)]
        merged = self._merged_constants(calls, constant) if constant else {}
        return {
            name: merged[name] if name in merged else np.concatenate([call[name] for call in calls])
            for name in calls[0]
        }

    def _merged_constants(self, calls: Sequence[Arrays], names: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
        self._constants.collect()
        parts = [call[name] for call in calls for name in names]
        # Every step makes new views of the same memory.
        key = tuple((address_of(part), part.shape) for part in parts)
        arrays = self._constants.get(key)
        if arrays is None:
            arrays = {name: np.concatenate([call[name] for call in calls]) for name in names}
            for value in arrays.values():
                value.flags.writeable = False
            self._constants.put(key, arrays, map(owner_of, parts))
        return arrays


def pieces(inputs: Arrays, most: int) -> list[Arrays]:
    """A call's rows in as few calls as possible of at most `most` rows, and of nearly equal size: views."""
    count = -(-len(next(iter(inputs.values()))) // most)
    parts = {name: np.array_split(value, count) for name, value in inputs.items()}
    return [{name: parts[name][index] for name in inputs} for index in range(count)]


def joined(outputs: Sequence[Outputs]) -> Outputs:
    """The outputs of a call that went in pieces."""
    return {name: np.concatenate([each[name] for each in outputs]) for name in outputs[0]}


def split(outputs: Arrays, rows: Sequence[int]) -> list[Outputs]:
    """The outputs of calls with so many rows each: views of the outputs of their batch."""
    ends = np.cumsum(rows)
    return [
        {name: value[end - count : end] for name, value in outputs.items()}
        for count, end in zip(rows, ends, strict=True)
    ]

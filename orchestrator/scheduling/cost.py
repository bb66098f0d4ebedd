"""The duration of a batch by its rows, learned from the batches that ran."""

from __future__ import annotations

import collections
import math
import statistics

_WINDOW = 128
"""Batches that are remembered; a size that has not run for so many batches is tried again."""


class BatchCost:
    """The line `base + row · rows` through the durations of the latest batches of one model at one shape.

    While only one size has run, more rows are assumed to cost nothing, so that the next batch may be larger and show
    it. While none has run, no size is better than another.
    """

    def __init__(self) -> None:
        self._samples: collections.deque[tuple[int, float]] = collections.deque(maxlen=_WINDOW)
        self._line: tuple[float, float] | None = None

    def record(self, rows: int, seconds: float) -> None:
        """Adds the duration of a batch that shared the replica with no other batch of the model."""
        self._samples.append((rows, seconds))
        self._line = None

    def seconds(self, rows: int) -> float:
        """Expected duration of a batch of so many rows; infinite while none has run."""
        if self._line is None:
            self._line = self._fit()
        base, row = self._line
        return base + row * rows

    def _fit(self) -> tuple[float, float]:
        sizes = sorted({rows for rows, _ in self._samples})
        if not sizes:
            return math.inf, 0.0
        # The median of each size: the first run of a graph, or a busy processor, says nothing about rows.
        medians = [statistics.median(seconds for rows, seconds in self._samples if rows == size) for size in sizes]
        if len(sizes) == 1:
            return medians[0], 0.0
        row, base = statistics.linear_regression(sizes, medians)
        if row <= 0:
            return statistics.fmean(medians), 0.0
        # A negative base is noise: then the line goes through 0.
        return (base, row) if base > 0 else (0.0, sum(medians) / sum(sizes))

"""What a batch costs by its rows, as seen here."""

from __future__ import annotations

import collections
import math
import statistics

_WINDOW = 128
"""Batches that are remembered: a size that was not sent for so long is tried again."""


class BatchCost:
    """The line `base + row · rows` through the seconds of the latest batches of one model at one shape.

    While one size was seen, company is taken to cost nothing: the first batch that has some will tell. While none was,
    nothing is known to be better than anything else.
    """

    def __init__(self) -> None:
        self._seen: collections.deque[tuple[int, float]] = collections.deque(maxlen=_WINDOW)
        self._line: tuple[float, float] | None = None

    def record(self, rows: int, seconds: float) -> None:
        """A batch that had its engine to itself took so long."""
        self._seen.append((rows, seconds))
        self._line = None

    def seconds(self, rows: int) -> float:
        """What a batch of so many rows is expected to take; infinite while nothing was seen."""
        if self._line is None:
            self._line = self._fit()
        base, row = self._line
        return base + row * rows

    def _fit(self) -> tuple[float, float]:
        sizes = sorted({rows for rows, _ in self._seen})
        if not sizes:
            return math.inf, 0.0
        # The median of each size: the first run of a graph, or a stolen processor, is no cost of rows.
        medians = [statistics.median(seconds for rows, seconds in self._seen if rows == size) for size in sizes]
        if len(sizes) == 1:
            return medians[0], 0.0
        row, base = statistics.linear_regression(sizes, medians)
        if row <= 0:
            return statistics.fmean(medians), 0.0
        # A line that begins below 0 is noise about one through it.
        return (base, row) if base > 0 else (0.0, sum(medians) / sum(sizes))

"""How many rows to send together, and whether to queue a batch behind one that runs: for latency or for throughput.

While every request runs, the aim is the mean latency. While requests wait for admission, the backlog has no end, and
the latency of all of them is their number divided by the throughput.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

Seconds = Callable[[int], float]

ARRIVALS_FACTOR = 2
"""Rows to expect for each row that is present: others arrive meanwhile, at half load as many again."""


@dataclasses.dataclass(frozen=True)
class BatchSizing:
    """What to do with the rows that are present.

    Attributes:
        grows: whether a batch of so many rows is better with so many.
        follows: whether a batch of so many rows should be queued behind a running one, so that the replica does not
            idle between them. Callers of the running batch then find that batch ahead of their next call.
    """

    grows: Callable[[int, int], bool]
    follows: Callable[[int], bool]


def for_latency(seconds: Seconds, present: float, max_rows: int, gap_s: float) -> BatchSizing:
    """Minimises the mean time until a request is done.

    P rows of equal requests in batches of n are done after P ÷ n batches, the mean request after (P ÷ n + 1) ÷ 2.
    Where batches are queued behind one another, a request is done one batch later at each step; in return none of
    the P ÷ n + 1 batches, twice the mean number, has a gap before it.

    Args:
        seconds: expected duration of a batch of so many rows.
        present: rows that wait, run, or are about to return.
        max_rows: of a batch.
        gap_s: between two batches, if the second waits for callers of the first.
    """
    expected = ARRIVALS_FACTOR * present

    def grows(rows: int, more: int) -> bool:
        if more > min(present, max_rows):
            return False
        return seconds(more) * (expected / more + 1) < seconds(rows) * (expected / rows + 1)

    def follows(rows: int) -> bool:
        # Only a batch that would not be larger if every caller were here.
        return not grows(rows, rows + 1) and (expected / rows + 1) * gap_s > seconds(rows)

    return BatchSizing(grows, follows)


def for_throughput(seconds: Seconds, present: float, max_rows: int, gap_s: float) -> BatchSizing:
    """Maximises rows per second: the fewest batches of equal size, or two halves if that costs less than the gap.

    Arguments as those of `for_latency`.
    """
    batches = math.ceil(present / max_rows)
    if batches < 2 and 2 * seconds(math.ceil(present / 2)) < seconds(math.ceil(present)) + gap_s:
        batches = 2
    size = math.ceil(present / max(batches, 1))
    return BatchSizing(lambda rows, more: more <= size, lambda rows: batches > 1)

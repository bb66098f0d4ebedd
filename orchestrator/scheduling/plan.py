"""How many rows to send together, and whether to queue them behind a batch that runs: two aims, by what waits.

While everybody who is here runs, what counts is how soon the mean request is done. While others wait until somebody is
done, there is no end to the backlog: everybody's time is then the number of requests by the throughput.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

Seconds = Callable[[int], float]

BUSY = 2
"""While the rows that are here are served, others arrive who wait for them: at half load as many again."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """What to do with the rows that are here.

    Attributes:
        grows: whether a batch of so many rows is better with so many.
        follows: whether a batch of so many rows should be sent while another runs, so that the engine need not wait
            for it. It then runs before those who are being worked for can come back, who wait for as long as it takes.
    """

    grows: Callable[[int, int], bool]
    follows: Callable[[int], bool]


def soonest(seconds: Seconds, present: float, max_rows: int, gap_s: float) -> Plan:
    """Has the mean request done soonest.

    In batches of n, P rows of equal jobs are done after P ÷ n batches, the mean one of them after half of (P ÷ n + 1).
    Jobs that go in pairs of batches finish one batch a step later; in return, none of the P ÷ n + 1 batches that are
    ahead of twice the mean job has a gap before it.

    Args:
        seconds: what a batch of so many rows takes.
        present: rows that wait, are out, or are on their way back.
        max_rows: of a batch.
        gap_s: between two batches, where the second waits for callers of the first.
    """
    expected = BUSY * present

    def grows(rows: int, more: int) -> bool:
        if more > min(present, max_rows):
            return False
        return seconds(more) * (expected / more + 1) < seconds(rows) * (expected / rows + 1)

    def follows(rows: int) -> bool:
        # As large as it would be if everybody were here: the others do not come into it any more.
        return not grows(rows, rows + 1) and (expected / rows + 1) * gap_s > seconds(rows)

    return Plan(grows, follows)


def fastest(seconds: Seconds, present: float, max_rows: int, gap_s: float) -> Plan:
    """Has most rows done in a second: as few batches as hold them, of one size, or two halves, if that beats the gap.

    Arguments as those of `soonest`.
    """
    batches = math.ceil(present / max_rows)
    if batches < 2 and 2 * seconds(math.ceil(present / 2)) < seconds(math.ceil(present)) + gap_s:
        batches = 2
    size = math.ceil(present / max(batches, 1))
    return Plan(lambda rows, more: more <= size, lambda rows: batches > 1)

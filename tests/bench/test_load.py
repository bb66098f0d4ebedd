"""The load generator's arithmetic, and that it sends what it says."""

import asyncio
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.goodput import goodput, highest_rate
from bench.load import closed_loop, open_loop, percentile, poisson_arrivals, spread
from bench.requests import BenchRequest, numbered

LATENCIES = st.lists(st.floats(0.001, 1000), min_size=1, max_size=50)


def test_arrivals_come_from_the_seed_and_at_the_rate() -> None:
    arrivals = poisson_arrivals(4.0, 4000, seed=1)
    assert arrivals == poisson_arrivals(4.0, 4000, seed=1)
    assert arrivals != poisson_arrivals(4.0, 4000, seed=2)
    assert arrivals == sorted(arrivals)
    assert arrivals[-1] == pytest.approx(1000, rel=0.05)
    gaps = [after - before for before, after in zip([0.0, *arrivals], arrivals, strict=False)]
    # Of exponential gaps, 1/e are longer than their mean.
    assert sum(gap > 0.25 for gap in gaps) / len(gaps) == pytest.approx(1 / math.e, abs=0.03)


def test_a_higher_rate_is_the_same_process_in_less_time() -> None:
    slow, fast = poisson_arrivals(1.0, 50, seed=3), poisson_arrivals(2.0, 50, seed=3)
    assert fast == pytest.approx([due / 2 for due in slow])


@pytest.mark.parametrize(("share", "value"), [(0.5, 5), (0.9, 9), (0.95, 10), (1.0, 10), (0.0, 1), (0.1, 1)])
def test_percentiles_are_values_that_were_measured(share: float, value: float) -> None:
    assert percentile([10, 9, 8, 7, 6, 5, 4, 3, 2, 1], share) == value


@given(LATENCIES, st.floats(0, 1))
def test_so_many_do_not_exceed_a_percentile(latencies: list[float], share: float) -> None:
    value = percentile(latencies, share)
    assert sum(latency <= value for latency in latencies) >= share * len(latencies) - 1e-6
    assert sum(latency < value for latency in latencies) <= max(share * len(latencies), 1e-6)


def test_no_values_have_no_percentile() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


def test_goodput_counts_what_failed_as_late() -> None:
    assert goodput([0.5, 1.0, 1.5, math.inf], 1.0) == 0.5


def test_the_highest_rate_stops_at_the_first_miss_even_if_a_later_rate_is_met() -> None:
    assert highest_rate({1: 1.0, 2: 0.95, 3: 0.5, 4: 1.0}) == pytest.approx(2 + 0.05 / 0.45)
    assert highest_rate({1: 0.5}) == pytest.approx(0.2)
    assert highest_rate({1: 1.0, 2: 0.9}) == 2
    assert highest_rate({}) == 0


@given(st.dictionaries(st.floats(0.1, 100), st.floats(0, 1), min_size=1, max_size=8))
def test_the_highest_rate_is_not_above_the_first_that_misses(shares: dict[float, float]) -> None:
    missed = [rate for rate, share in shares.items() if share < 0.9]
    assert 0 <= highest_rate(shares) <= min(missed, default=max(shares))


def test_spread_is_median_and_range() -> None:
    value = spread([3.0, 1.0, 2.0, 10.0])
    assert (value.median, value.least, value.most) == (2.5, 1.0, 10.0)
    assert str(value) == "1–10 over 4 rounds"


class Counting:
    """Answers after some turns of the event loop, and knows how many it had at once."""

    def __init__(self, failing: int = -1) -> None:
        self.now = self.most = 0
        self.seeds: list[int] = []
        self._failing = failing

    async def generate(self, request: BenchRequest) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        for _ in range(3):
            await asyncio.sleep(0)
        self.now -= 1
        self.seeds.append(request.seed)
        if request.seed == self._failing:
            raise RuntimeError("refused")


async def test_a_closed_loop_keeps_its_clients_busy_and_sends_every_request_once() -> None:
    arm = Counting()
    run = await closed_loop(arm.generate, [numbered(index) for index in range(20)], clients=4)
    assert arm.most == 4
    assert sorted(arm.seeds) == list(range(20))
    assert run.throughput == pytest.approx(20 / run.wall_s)


async def test_what_fails_has_taken_for_ever_and_is_not_throughput() -> None:
    run = await closed_loop(Counting(failing=2).generate, [numbered(index) for index in range(4)], clients=2)
    assert [math.isinf(latency) for latency in run.latencies_s] == [False, False, True, False]
    assert run.throughput == pytest.approx(3 / run.wall_s)


async def test_an_open_loop_does_not_wait_for_answers() -> None:
    release = asyncio.Event()
    arrived = 0

    async def generate(request: BenchRequest) -> None:
        nonlocal arrived
        arrived += 1
        if arrived == 3:
            release.set()
        await release.wait()

    run = await open_loop(generate, [numbered(index) for index in range(3)], [0.0, 0.01, 0.02])
    assert arrived == 3
    # The first was due when the run began, and was answered only when the last had come.
    assert run.latencies_s[0] >= 0.02


def test_no_two_requests_share_what_a_cache_could_keep() -> None:
    requests = [numbered(index) for index in range(12)]
    assert len({request.product_file for request in requests}) == len({request.prompt for request in requests}) == 12
    assert numbered(3).message() == numbered(3).message()

"""Upper bounds for any scheduler: `python -m bench.emulated.ideal` simulates orders of serving that cost nothing.

One engine, the arrivals of the Poisson sweeps, a deadline of twice the solo latency. The orders:

- `monolith` gathers all waiting requests when it is free, and runs them to the end;
- `alternate` gives every request a step in turn, `together` has all requests share each step;
- `soonest` sends what the batcher's own arithmetic does (scheduling/batch_sizing.py), least remaining work first;
- `in time` is `soonest` with deadlines: requests that can no longer meet theirs are dropped, and those due before the
  last tight one go first (orchestrator/scheduling/fair_queue.py);
- `tight first` puts only the tight ones before all others;
- `monolith in time` takes no request that it cannot finish in time.

Prints the highest load with 90 % of requests within their deadline, and its ratio to `monolith`'s: for requests of
equal length, and for those of the mixed sweep, each held to twice its own solo latency.
"""

from __future__ import annotations

import dataclasses
import functools
import statistics
import sys
from collections.abc import Callable, Sequence

import numpy as np

from bench.emulated.costs import COSTS
from bench.goodput import MARKED, MIXED_STEPS, goodput, highest_rate
from bench.load import poisson_arrivals
from orchestrator.scheduling.batch_sizing import for_latency
from orchestrator.scheduling.request import TIGHT_FACTOR

Seconds = Callable[[int], float]

_LOADS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 3.5, 4.5, 6.0)
_ROWS, _MAX_ROWS = 2, 16
_SEEDS, _REQUESTS = 5, 400
_LENGTHS = {"equal": (8,), "mixed": MIXED_STEPS}
# Two threads on two cores: a batch's own share is small, each row takes a core for half a step.
_ENGINES: dict[str, Seconds] = {name: cost.seconds for name, cost in COSTS.items()}
_ENGINES["CPU"] = lambda rows: 0.006 + 0.010 * rows


@dataclasses.dataclass(eq=False)
class Request:
    """One request: its arrival, remaining steps, deadline and end, times in seconds."""

    at: float
    steps: int
    due: float
    ended: float = float("inf")

    def late(self, now: float, step_s: float) -> bool:
        """Whether it misses its deadline even if it runs alone from now, at so many seconds a step."""
        return now + self.steps * step_s > self.due

    def tight(self, now: float, step_s: float) -> bool:
        """Whether the time until its deadline is little more than its own steps take."""
        return self.due - now < TIGHT_FACTOR * self.steps * step_s


Serve = Callable[[Sequence[Request]], None]
Choose = Callable[[list[Request], float], list[Request]]
Key = Callable[[Request, list[Request], float], tuple[float, ...]]


def monolith(requests: Sequence[Request], seconds: Seconds, *, in_time: bool = False) -> None:
    """Serves requests that are gathered when the engine is free, all of them until the longest is done."""
    now, waiting = 0.0, list(requests)
    while waiting:
        now = max(now, waiting[0].at)
        if in_time:
            waiting = [one for one in waiting if one.at > now or not one.late(now, seconds(_ROWS))]
        batch = [one for one in waiting if one.at <= now][: _MAX_ROWS // _ROWS]
        if batch:
            now += max(one.steps for one in batch) * seconds(_ROWS * len(batch))
        for one in batch:
            one.ended = now
            waiting.remove(one)


def stepwise(requests: Sequence[Request], seconds: Seconds, choose: Choose, *, in_time: bool = False) -> None:
    """Serves requests of which `choose` picks some for each step."""
    now, here, coming = 0.0, list[Request](), list(requests)
    while here or coming:
        now = now if here else max(now, coming[0].at)
        while coming and coming[0].at <= now:
            here.append(coming.pop(0))
        if in_time:
            here = [one for one in here if not one.late(now, seconds(_ROWS))]
        if not here:
            continue
        chosen = choose(here, now)
        now += seconds(_ROWS * len(chosen))
        for one in chosen:
            here.remove(one)
            one.steps -= 1
            if one.steps:
                here.append(one)  # behind those that had no turn
            else:
                one.ended = now


def batched(seconds: Seconds, key: Key) -> Choose:
    """The first by a key, as many as the batcher would send together."""

    def choose(here: list[Request], now: float) -> list[Request]:
        due = sorted(here, key=lambda one: key(one, here, now))
        sizing, count = for_latency(seconds, _ROWS * len(here), _MAX_ROWS, 0), 1
        while count < len(due) and sizing.grows(_ROWS * count, _ROWS * (count + 1)):
            count += 1
        return due[:count]

    return choose


def orders(seconds: Seconds) -> dict[str, Serve]:
    """The orders of serving on an engine, by name."""
    step_s = seconds(_ROWS)

    def least(one: Request, here: list[Request], now: float) -> tuple[float, ...]:
        return one.steps, one.at

    def tight_first(one: Request, here: list[Request], now: float) -> tuple[float, ...]:
        return not one.tight(now, step_s), one.steps, one.at

    def in_time(one: Request, here: list[Request], now: float) -> tuple[float, ...]:
        until = max((other.due for other in here if other.tight(now, step_s)), default=0.0)
        return one.due > until, one.steps, one.at

    choices: dict[str, tuple[Choose, bool]] = {
        "alternate": (lambda here, now: here[:1], False),
        "together": (lambda here, now: here[: _MAX_ROWS // _ROWS], False),
        "soonest": (batched(seconds, least), False),
        "tight first": (batched(seconds, tight_first), True),
        "in time": (batched(seconds, in_time), True),
    }
    result: dict[str, Serve] = {
        "monolith": functools.partial(monolith, seconds=seconds),
        "monolith in time": functools.partial(monolith, seconds=seconds, in_time=True),
    }
    for name, (choose, drop) in choices.items():
        result[name] = functools.partial(stepwise, seconds=seconds, choose=choose, in_time=drop)
    return result


def rate(serve: Serve, step_s: float, lengths: Sequence[int], seed: int) -> float:
    """The highest load with 90 % of requests in time."""
    steps = [int(each) for each in np.random.default_rng(seed).choice(lengths, _REQUESTS)]
    mean_s, shares = statistics.mean(steps) * step_s, dict[float, float]()
    for load in _LOADS:
        arrivals = poisson_arrivals(load / mean_s, _REQUESTS, seed)
        # Slightly more, so that rounding does not make a request late that runs alone for exactly twice its time.
        requests = [
            Request(at, count, at + (MARKED + 1e-9) * count * step_s) for at, count in zip(arrivals, steps, strict=True)
        ]
        serve(requests)
        shares[load] = goodput([one.ended - one.due for one in requests], 0.0)
    return highest_rate(shares)


def main() -> None:
    """Prints a line for each engine, lengths of requests, and order of serving."""
    for engine, seconds in _ENGINES.items():
        for kind, lengths in _LENGTHS.items():
            rates: dict[str, float] = {}
            for name, serve in orders(seconds).items():
                rates[name] = statistics.median(rate(serve, seconds(_ROWS), lengths, seed) for seed in range(_SEEDS))
                over = rates[name] / rates["monolith"]
                sys.stdout.write(f"{engine:12} {kind:6} {name:17} {rates[name]:5.2f}  {over:5.2f}\n")


if __name__ == "__main__":
    main()

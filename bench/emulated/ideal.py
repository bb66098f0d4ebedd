"""What no scheduler can beat: `python -m bench.emulated.ideal` simulates orders of serving that cost nothing.

One engine, requests of equal length, the arrivals of the Poisson sweeps. `monolith` gathers whoever waits when it is
free and runs them to the end; `alternate` gives every request a step in turn; `together` has all requests share each
step; `soonest` sends what the batcher's own arithmetic would (orchestrator/scheduling/plan.py), least work left first.
Printed is the highest load with 90 % of requests within twice the solo latency, and its ratio to `monolith`'s.
"""

from __future__ import annotations

import functools
import statistics
from collections.abc import Callable, Sequence

from bench.emulated.costs import COSTS
from bench.load import goodput, highest_rate, poisson_arrivals
from orchestrator.scheduling.plan import soonest

Seconds = Callable[[int], float]
Choose = Callable[[list[int], list[int]], list[int]]

_LOADS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 3.5, 4.5, 6.0)
_ROWS, _MOST = 2, 16
_SEEDS, _ORDERS, _STEPS = 9, 400, 8
# Two threads on two cores: a batch's own share is small, each row takes a core for half a step.
_ENGINES = {name: cost.seconds for name, cost in COSTS.items()} | {"CPU": lambda rows: 0.006 + 0.010 * rows}


def monolith(arrivals: Sequence[float], seconds: Seconds) -> list[float]:
    """Latencies of requests that are gathered when the engine is free, and run to the end."""
    now, ends, waiting = 0.0, list[float](), list(arrivals)
    while waiting:
        now = max(now, waiting[0])
        batch = [at for at in waiting if at <= now][: _MOST // _ROWS]
        now += _STEPS * seconds(_ROWS * len(batch))
        ends += [now] * len(batch)
        waiting = waiting[len(batch) :]
    return [end - at for end, at in zip(ends, arrivals, strict=True)]


def stepwise(arrivals: Sequence[float], seconds: Seconds, choose: Choose) -> list[float]:
    """Latencies of requests of which `choose` picks some for each step, by who is there and what they have left."""
    left, ends = [_STEPS] * len(arrivals), [0.0] * len(arrivals)
    now, here, coming = 0.0, list[int](), list(range(len(arrivals)))
    while here or coming:
        now = now if here else max(now, arrivals[coming[0]])
        while coming and arrivals[coming[0]] <= now:
            here.append(coming.pop(0))
        chosen = choose(here, left)
        now += seconds(_ROWS * len(chosen))
        for number in chosen:
            here.remove(number)
            left[number] -= 1
            if left[number]:
                here.append(number)  # behind those who had no turn
            ends[number] = now
    return [end - at for end, at in zip(ends, arrivals, strict=True)]


def shortest(seconds: Seconds) -> Choose:
    """Least work left first, as many as the batcher would send together."""

    def choose(here: list[int], left: list[int]) -> list[int]:
        due, plan, count = (
            sorted(here, key=lambda one: (left[one], one)),
            soonest(seconds, _ROWS * len(here), _MOST, 0),
            1,
        )
        while count < len(due) and plan.grows(_ROWS * count, _ROWS * (count + 1)):
            count += 1
        return due[:count]

    return choose


def main() -> None:
    """Prints a line for each engine and order of serving."""
    for name, seconds in _ENGINES.items():
        choices: dict[str, Choose] = {
            "alternate": lambda here, left: here[:1],
            "together": lambda here, left: here[: _MOST // _ROWS],
            "soonest": shortest(seconds),
        }
        orders = {"monolith": functools.partial(monolith, seconds=seconds)} | {
            order: functools.partial(stepwise, seconds=seconds, choose=choose) for order, choose in choices.items()
        }
        solo, found = _STEPS * seconds(_ROWS), dict[str, float]()
        for order, serve in orders.items():
            rates = [
                highest_rate(
                    {load: goodput(serve(poisson_arrivals(load / solo, _ORDERS, seed)), 2 * solo) for load in _LOADS}
                )
                for seed in range(_SEEDS)
            ]
            found[order] = statistics.median(rates)
            print(f"{name:12} {order:10} {found[order]:.2f}  {found[order] / found['monolith']:.2f}")  # noqa: T201


if __name__ == "__main__":
    main()

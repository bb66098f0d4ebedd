"""Discrete events: requests arrive, orchestrators compute, replicas batch what waits, and the clock jumps.

Simulated as in the real system:
- An orchestrator is one process that does one thing at a time. It sends each replica one batch of a model at a time, of
  the calls that finish soonest together, and forms the next batch when the callers of the last one are back.
- An orchestrator counts only the rows that it has sent itself. A batch goes to the replica with the fewest of them; of
  several such replicas, to the one that was used longest ago.
- A replica runs one batch at a time: first the model whose row waits longest, with all rows that wait for it up to the
  model's cap.

Not simulated: failures, deadlines, bounds of queues, classes and tenants, a second batch behind the first, cache
misses, and the network's bandwidth.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from bench.capacity.costs import Site, Work
from orchestrator.scheduling.batch_sizing import for_latency

Then = Callable[[], None]


@dataclass(frozen=True)
class Outcome:
    """The result of a run, without its first quarter.

    Attributes:
        rate: requests finished a second.
        p50_s, p95_s: from a request's arrival to its end.
        engine_busy, orchestrator_busy: share of the time, on average; orchestrators' with their probes.
        rows_per_batch: mean over all models.
    """

    rate: float
    p50_s: float
    p95_s: float
    engine_busy: float
    orchestrator_busy: float
    rows_per_batch: float


class Clock:
    """Events in the order of their time."""

    def __init__(self) -> None:
        self.now = 0.0
        self._events: list[tuple[float, int, Then]] = []
        self._order = itertools.count()

    def after(self, seconds: float, then: Then) -> None:
        """Calls `then` after so many seconds."""
        heapq.heappush(self._events, (self.now + seconds, next(self._order), then))

    def run(self, until: float) -> None:
        """Lets time pass."""
        while self._events and self._events[0][0] <= until:
            self.now, _, then = heapq.heappop(self._events)
            then()
        self.now = until


class Core:
    """A processor that does one thing at a time, in the order of arrival."""

    def __init__(self, clock: Clock, slower: float = 1.0) -> None:
        self.busy_s = 0.0
        self._clock = clock
        self._slower = slower
        self._free_at = 0.0

    def do(self, seconds: float, then: Then) -> None:
        """Computes for so many seconds, then calls `then`."""
        seconds *= self._slower
        self.busy_s += seconds
        self._free_at = max(self._free_at, self._clock.now) + seconds
        self._clock.after(self._free_at - self._clock.now, then)


class Replica:
    """A Triton: queues by model, one batch at a time."""

    def __init__(self, clock: Clock, site: Site, core: Core) -> None:
        self.batches = 0
        self.rows = 0
        self._clock = clock
        self._models = site.models
        self._core = core
        self._queues: dict[str, deque[tuple[float, int, Then]]] = {name: deque() for name in site.models}
        self._running = False

    def call(self, model: str, rows: int, then: Then) -> None:
        """Queues a call of so many rows; it runs in one of the next batches."""
        self._queues[model].append((self._clock.now, rows, then))
        self._next()

    def _next(self) -> None:
        waiting = [(queue[0][0], name) for name, queue in self._queues.items() if queue]
        if self._running or not waiting:
            return
        _, name = min(waiting)
        queue, cost, rows, done = self._queues[name], self._models[name], 0, []
        while queue and rows + queue[0][1] <= cost.max_rows:
            _, more, then = queue.popleft()
            rows += more
            done.append(then)
        self._running = True
        self.batches += 1
        self.rows += rows

        def finished() -> None:
            self._running = False
            for then in done:
                then()
            self._next()

        self._core.do(cost.seconds(rows), finished)


class Orchestrator:
    """One process: its core, its queues by model, and its own rows on each replica."""

    def __init__(self, clock: Clock, site: Site, core: Core, replicas: list[Replica], seed: int) -> None:
        self._clock = clock
        self._cost = site.orchestrator
        self._models = site.models
        self._core = core
        self._waiting: dict[str, deque[tuple[int, Then]]] = {name: deque() for name in site.models}
        self._batches = dict.fromkeys(site.models, 0)  # sent and not answered
        self._present = dict.fromkeys(site.models, 0)  # rows that wait or are sent
        self._replicas = replicas
        self._outstanding = dict.fromkeys(range(len(replicas)), 0)
        # Replicas without rows of ours, the least recently used first; each process starts in an order of its own.
        order = list(range(len(replicas)))
        random.Random(seed).shuffle(order)  # noqa: S311  (no secret)
        self._idle: OrderedDict[int, None] = OrderedDict.fromkeys(order)

    def request(self, work: Work, then: Then) -> None:
        """Runs one request, then calls `then`."""

        def variants() -> None:
            remaining = [work.variants]

            def one_done() -> None:
                remaining[0] -= 1
                if not remaining[0]:
                    self._core.do(self._cost.request_s / 2, then)

            for _ in range(work.variants):
                self._calls([work.step] * work.steps + list(work.after), one_done)

        self._core.do(self._cost.request_s / 2, lambda: self._calls(list(work.once), variants))

    def _calls(self, calls: list[tuple[str, int]], then: Then) -> None:
        if not calls:
            then()
            return
        (model, rows), rest = calls[0], calls[1:]
        self._call(model, rows, lambda: self._calls(rest, then))

    def _call(self, model: str, rows: int, then: Then) -> None:
        def queue() -> None:
            self._waiting[model].append((rows, then))
            self._present[model] += rows
            self._send(model)

        self._core.do(self._cost.call_s / 2, queue)

    def _send(self, model: str) -> None:
        """Sends batches until every replica has one."""
        waiting, cost = self._waiting[model], self._models[model]
        while waiting and self._batches[model] < len(self._replicas):
            sizing = for_latency(cost.seconds, self._present[model] / len(self._replicas), cost.max_rows, 0.0)
            rows, then = waiting.popleft()
            thens = [then]
            while waiting:
                more = rows + waiting[0][0]
                if not sizing.grows(rows, more):
                    break
                thens.append(waiting.popleft()[1])
                rows = more
            self._batch(model, rows, thens)

    def _batch(self, model: str, rows: int, thens: list[Then]) -> None:
        cost, chosen = self._cost, next(iter(self._idle), None)
        if chosen is None:
            chosen = min(self._outstanding, key=self._outstanding.__getitem__)
        self._idle.pop(chosen, None)
        self._outstanding[chosen] += rows
        self._batches[model] += 1

        def answered() -> None:
            self._outstanding[chosen] -= rows
            if not self._outstanding[chosen]:
                self._idle[chosen] = None
            self._clock.after(cost.wire_s / 2, received)

        def received() -> None:
            for then in thens:
                self._core.do(cost.call_s / 2, then)
            # After the callers, and after the calls that they send then.
            self._core.do(0.0, lambda: self._core.do(0.0, free))

        def free() -> None:
            self._batches[model] -= 1
            self._present[model] -= rows
            self._send(model)

        def sent() -> None:
            self._clock.after(cost.wire_s / 2, lambda: self._replicas[chosen].call(model, rows, answered))

        self._core.do(cost.choice_s * len(self._replicas), sent)


@dataclass
class Run:
    """One simulation of a site."""

    site: Site
    work: Work
    seed: int = 0
    times: list[tuple[float, float]] = field(default_factory=list)
    """(end, length) of each finished request."""

    def __post_init__(self) -> None:
        self.clock = Clock()
        shared = Core(self.clock) if self.site.shared_machine else None
        probing = min(self.site.orchestrator.probing(self.site.replicas), 0.95)
        self._engines = [shared or Core(self.clock) for _ in range(self.site.replicas)]
        replicas = [Replica(self.clock, self.site, core) for core in self._engines]
        self.replicas = replicas
        self._cores = [shared or Core(self.clock, 1 / (1 - probing)) for _ in range(self.site.orchestrators)]
        self._probing = probing
        self._orchestrators = [
            Orchestrator(self.clock, self.site, core, replicas, number) for number, core in enumerate(self._cores)
        ]
        self._random = random.Random(self.seed)  # noqa: S311  (no secret)

    def _start(self, again: Then = lambda: None) -> None:
        began = self.clock.now

        def ended() -> None:
            self.times.append((self.clock.now, self.clock.now - began))
            again()

        self._random.choice(self._orchestrators).request(self.work, ended)

    def closed(self, callers: int, seconds: float) -> Outcome:
        """So many callers, each of which sends its next request when the last one is done."""

        def ask() -> None:
            self._start(ask)

        for _ in range(callers):
            ask()
        return self._outcome(seconds)

    def open(self, rate: float, seconds: float) -> Outcome:
        """Requests that arrive at random (Poisson), whether or not earlier ones are done."""

        def arrive() -> None:
            self._start()
            self.clock.after(self._random.expovariate(rate), arrive)

        self.clock.after(self._random.expovariate(rate), arrive)
        return self._outcome(seconds)

    def _outcome(self, seconds: float) -> Outcome:
        warm = seconds / 4
        self.clock.run(seconds)
        took = sorted(length for end, length in self.times if end >= warm)
        if not took:
            return Outcome(0, float("inf"), float("inf"), 1, 1, 0)
        batches = sum(replica.batches for replica in self.replicas)
        engines, cores = {id(c): c for c in self._engines}.values(), {id(c): c for c in self._cores}.values()
        return Outcome(
            rate=len(took) / (seconds - warm),
            p50_s=took[len(took) // 2],
            p95_s=took[min(len(took) - 1, int(0.95 * len(took)))],
            engine_busy=min(1.0, sum(core.busy_s for core in engines) / seconds / len(engines)),
            # A core is slower by its probes, so its busy time includes them.
            orchestrator_busy=min(1.0, sum(core.busy_s for core in cores) / seconds / len(cores)),
            rows_per_batch=sum(replica.rows for replica in self.replicas) / max(batches, 1),
        )

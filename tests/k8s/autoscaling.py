"""A simulated day: load, orchestrators and GPUs, and the rendered ScaledObjects as KEDA and the autoscaler read them.

Every 15 s the two tiers serve what the scarcer one allows, the series of the `monitoring` component follow from their
state, and each autoscaler computes its replicas as the HorizontalPodAutoscaler does (tolerance, stabilization windows,
policies). A scale-out is in the wrong direction if the tier had capacity to spare.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

STEP_S = 15
DAY_S = 86_400
_TOLERANCE = 0.1
# A scale-out is wrong if its tier could serve the demand at this load or below; autoscalers aim at 0.7 and more.
SPARE = 0.65
_PLACES, _MAX_ROWS, _ROWS, _STEPS = 16, 8, 2, 20


@dataclass(frozen=True)
class Weather:
    """What is special at a time."""

    arrivals: float
    """Requests a second."""
    cpu_s: float = 0.12
    """Of an orchestrator, for each request."""
    hold_s: float = 0.0
    """Seconds that a request keeps its place without work: its caller reads slowly."""
    steps: int = _STEPS
    hang: bool = False
    """Triton does not answer."""
    blind: bool = False
    """Prometheus does not answer."""


def day(time_s: float) -> Weather:
    """Two peaks, and six incidents, one at a time."""
    hour = time_s / 3600
    arrivals = 3 + 9 * math.exp(-(((hour - 10) / 2) ** 2)) + 12 * math.exp(-(((hour - 20) / 1.5) ** 2))
    if 2 <= hour < 3:
        return Weather(arrivals, hold_s=12)
    if 5 <= hour < 6:
        return Weather(arrivals, cpu_s=0.9)
    if 10 <= hour < 10.25:
        return Weather(arrivals, hang=True)
    if 13 <= hour < 14:
        return Weather(arrivals, steps=5 * _STEPS)
    if 16 <= hour < 16.5 or 20 <= hour < 20.25:
        return Weather(arrivals, blind=True)
    return Weather(arrivals)


def seconds(rows: float) -> float:
    """Of a batch."""
    return 0.02 + 0.005 * rows


@dataclass
class Tier:
    """A Deployment and its autoscaler.

    Attributes:
        spec: of its ScaledObject.
        start_s: from the decision until a pod serves.
        replicas: as desired; `ready` of them serve.
    """

    name: str
    spec: Mapping[str, Any]
    start_s: float
    replicas: int = 0
    ready: int = 0
    _starting: list[float] = field(default_factory=list)
    _desired: deque[tuple[float, int]] = field(default_factory=deque)
    _changes: deque[tuple[float, int]] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.replicas = self.ready = self.spec["minReplicaCount"]

    def advance(self, now: float) -> None:
        """Pods that have started serve."""
        self.ready += sum(at <= now for at in self._starting)
        self._starting = [at for at in self._starting if at > now]

    def scale(self, now: float, read: Callable[[Mapping[str, Any]], float | None]) -> int:
        """One round of the autoscaler; returns how many replicas were added."""
        wishes = [self._wish(trigger, read(trigger)) for trigger in self.spec["triggers"]]
        desired = max((wish for wish in wishes if wish is not None), default=self.replicas)
        if None in wishes:  # a number is missing: scale up, never down
            desired = max(desired, self.replicas)
        desired = min(max(desired, self.spec["minReplicaCount"]), self.spec["maxReplicaCount"])
        self._desired.append((now, desired))
        desired = self._within_policies(now, self._stabilized(now))
        change, self.replicas = desired - self.replicas, desired
        if change:
            self._changes.append((now, change))
        if change > 0:
            self._starting += [now + self.start_s] * change
        elif change < 0:
            unborn = min(-change, len(self._starting))
            self._starting = self._starting[: len(self._starting) - unborn]
            self.ready += change + unborn
        return max(change, 0)

    def _wish(self, trigger: Mapping[str, Any], value: float | None) -> int | None:
        if value is None:
            fallback = self.spec.get("fallback")
            return max(self.replicas, fallback["replicas"]) if fallback else None
        threshold = _number(trigger["metadata"].get("threshold") or trigger["metadata"]["value"])
        ratio = value / threshold / (self.replicas if trigger["metricType"] == "AverageValue" else 1)
        return self.replicas if abs(ratio - 1) <= _TOLERANCE else math.ceil(self.replicas * ratio)

    def _stabilized(self, now: float) -> int:
        """The most cautious wish of each window: the lowest for scaling up, the highest for scaling down."""
        up, down = (self._rule(side).get("stabilizationWindowSeconds", 0) for side in ("scaleUp", "scaleDown"))
        while self._desired and self._desired[0][0] < now - max(up, down):
            self._desired.popleft()
        lowest = min(wish for at, wish in self._desired if at >= now - up)
        highest = max(wish for at, wish in self._desired if at >= now - down)
        return min(max(self.replicas, lowest), highest)

    def _within_policies(self, now: float, desired: int) -> int:
        side = "scaleUp" if desired > self.replicas else "scaleDown"
        (policy,) = self._rule(side)["policies"]
        sign = 1 if side == "scaleUp" else -1
        recent = sum(change for at, change in self._changes if at > now - policy["periodSeconds"] and change * sign > 0)
        before = self.replicas - recent
        most: int = policy["value"] if policy["type"] == "Pods" else math.ceil(before * policy["value"] / 100)
        return min(desired, before + most) if sign > 0 else max(desired, before - most)

    def _rule(self, side: str) -> Mapping[str, Any]:
        rule: Mapping[str, Any] = self.spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"][side]
        return rule


def _number(text: str) -> float:
    return float(text[:-1]) / 1000 if text.endswith("m") else float(text)


@dataclass(frozen=True)
class Scraped:
    """What the orchestrators export, over all of them."""

    rows_out: float
    rows_waiting: float
    replicas: int
    oldest_wait_s: float
    cpu: float
    """Cores that all orchestrators use."""

    def recorded(self) -> dict[str, float]:
        """The recorded series, as rules.yaml computes them; a test compares the two."""
        present = self.rows_out + self.rows_waiting
        per_replica = present / max(self.replicas, 1)
        return {
            "backdrop:rows:present": present,
            "backdrop:rows:per_replica": per_replica,
            "backdrop:oldest_wait:seconds": self.oldest_wait_s,
            "backdrop:wait_for_gpus:seconds": self.oldest_wait_s * (per_replica >= 4),
            "backdrop:wait_for_orchestrators:seconds": self.oldest_wait_s * (per_replica < 4),
        }


@dataclass
class Cluster:
    """Both tiers, and the requests that wait."""

    orchestrators: Tier
    gpus: Tier
    waiting: deque[list[float]] = field(default_factory=deque)
    """Arrival time and number of requests."""

    def serve(self, now: float, weather: Weather) -> tuple[Scraped, dict[str, float]]:
        """One step; returns what is scraped, and the load of each tier: demand over capacity."""
        self.waiting.append([now, weather.arrivals * STEP_S])
        queued = sum(count for _, count in self.waiting)
        gpus, pods = max(self.gpus.ready, 0), self.orchestrators.ready
        places = pods * _PLACES
        work = _ROWS * weather.steps  # row-steps of a request
        full = 0.0 if weather.hang else gpus * _MAX_ROWS / seconds(_MAX_ROWS) / work
        quick_s = weather.steps * seconds(_ROWS) + weather.cpu_s + weather.hold_s
        own = min(pods / weather.cpu_s, places / quick_s)
        served = min(queued / STEP_S, full, own)
        self._leave(served * STEP_S)
        rows = self._rows(served, work, gpus) if served < full else float(places * _ROWS)
        out = min(rows, gpus * _MAX_ROWS)
        wait = now - self.waiting[0][0] if self.waiting else 0.0
        demand = weather.arrivals + (queued - served * STEP_S) / 60
        load = {"triton": demand / full if full else math.inf, "orchestrator": demand / own}
        return Scraped(out, rows - out, gpus, wait, min(served * weather.cpu_s, pods)), load

    def _leave(self, count: float) -> None:
        while self.waiting and count > 0:
            part = min(count, self.waiting[0][1])
            self.waiting[0][1] -= part
            count -= part
            if self.waiting[0][1] <= 1e-9:
                self.waiting.popleft()

    @staticmethod
    def _rows(served: float, work: int, gpus: int) -> float:
        """Rows at the GPUs at a rate that they can keep: as many as make batches large enough for it."""
        each = served * work / gpus
        return gpus * 0.02 * each / (1 - 0.005 * each)


@dataclass
class Day:
    """What happened in a simulated day."""

    scale_outs: dict[str, int] = field(default_factory=lambda: {"triton": 0, "orchestrator": 0})
    wrong: list[str] = field(default_factory=list)
    scraped: list[Scraped] = field(default_factory=list)
    most: dict[str, int] = field(default_factory=dict)
    removed_while_blind: int = 0


def simulate(specs: Mapping[str, Mapping[str, Any]], weather: Callable[[float], Weather] = day) -> Day:
    """Runs a day with the specs of the ScaledObjects `triton` and `orchestrator`."""
    gpus, pods = Tier("triton", specs["triton"], 240), Tier("orchestrator", specs["orchestrator"], 30)
    cluster, result = Cluster(pods, gpus), Day()
    for now in range(0, DAY_S, STEP_S):
        current = weather(now)
        for tier in (gpus, pods):
            tier.advance(now)
        scraped, load = cluster.serve(now, current)
        result.scraped.append(scraped)
        for tier in (gpus, pods):
            before = tier.replicas
            added = tier.scale(now, lambda trigger: _read(trigger, scraped, current))  # noqa: B023  # called at once
            result.scale_outs[tier.name] += added > 0
            result.most[tier.name] = max(result.most.get(tier.name, 0), tier.replicas)
            if added and load[tier.name] < SPARE:
                result.wrong.append(f"{now / 3600:.2f} h: {tier.name} +{added} at a load of {load[tier.name]:.2f}")
            if current.blind and tier.replicas < before:
                result.removed_while_blind += 1
    return result


def _read(trigger: Mapping[str, Any], scraped: Scraped, weather: Weather) -> float | None:
    """The value of a trigger; None if there is no answer."""
    if trigger["type"] == "cpu":
        return scraped.cpu
    if weather.blind:
        return None
    (name,) = re.findall(r"backdrop:\w+:\w+", trigger["metadata"]["query"])
    return scraped.recorded()[name]

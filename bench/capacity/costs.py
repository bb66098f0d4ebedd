"""The simulator's input: the costs of models and of the orchestrator, and the calls of a request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class ModelCost:
    """A batch of r rows takes `fixed_s` + r · `row_s`; at most `max_rows` go together."""

    fixed_s: float
    row_s: float
    max_rows: int = 8

    def seconds(self, rows: int) -> float:
        """Of one batch."""
        return self.fixed_s + self.row_s * rows


@dataclass(frozen=True)
class OrchestratorCost:
    """CPU seconds of one process, which does one thing at a time.

    Attributes:
        request_s: of a request without its calls: parsing, pictures, receipts.
        call_s: of one model call.
        choice_s: of choosing a replica, per replica: the pool looks at all of them.
        probe_s: of one readiness probe; every orchestrator probes every replica.
        probe_interval_s: between two probes of a replica.
        wire_s: of a call on the wire, there and back, in which nothing computes.
    """

    request_s: float
    call_s: float
    choice_s: float
    probe_s: float
    probe_interval_s: float = 0.5
    wire_s: float = 0.0

    def probing(self, replicas: int) -> float:
        """The share of a core that goes into probes."""
        return replicas * self.probe_s / self.probe_interval_s


@dataclass(frozen=True)
class Work:
    """One kind of request: calls of one model and so many rows each.

    Attributes:
        once: calls before the first step, one after another.
        steps: denoiser calls of a variant, one after another.
        variants: how many run side by side.
        after: calls of each variant after its last step.
        redis_commands: per request.
    """

    once: tuple[tuple[str, int], ...]
    steps: int
    step: tuple[str, int]
    variants: int
    after: tuple[tuple[str, int], ...]
    redis_commands: float = 0.0

    @property
    def calls(self) -> int:
        """Model calls of a request."""
        return len(self.once) + self.variants * (self.steps + len(self.after))

    def engine_s(self, models: Mapping[str, ModelCost]) -> float:
        """TritonStatistics seconds of a request whose calls all run alone."""
        alone = {name: models[name].seconds(rows) for name, rows in (*self.once, self.step, *self.after)}
        once = sum(alone[name] for name, _ in self.once)
        each = self.steps * alone[self.step[0]] + sum(alone[name] for name, _ in self.after)
        return once + self.variants * each


@dataclass(frozen=True)
class Site:
    """Numbers of replicas and orchestrators, and their costs."""

    replicas: int
    orchestrators: int
    models: Mapping[str, ModelCost]
    orchestrator: OrchestratorCost
    shared_machine: bool = False
    """Whether orchestrator and models take turns on the same cores, as on a laptop."""

"""What a test tells the fake to do, and what the fake tells the test that it did."""

from __future__ import annotations

import dataclasses

from backdrop.errors import BackdropError
from backdrop.v1 import generation_service_pb2 as pb


@dataclasses.dataclass(frozen=True)
class Failure:
    """A call that ends with `error` after `after_steps` steps."""

    error: BackdropError
    after_steps: int


@dataclasses.dataclass
class Script:
    """State that test and server share; both run in one process."""

    step_delay_s: float = 0.0
    """How long every variant takes for a step."""
    ready: bool = True
    """False: every call fails with UNAVAILABLE, and health says NOT_SERVING."""
    failures: list[Failure] = dataclasses.field(default_factory=list)
    """One for each of the next calls."""
    requests: list[pb.GenerateRequest] = dataclasses.field(default_factory=list)
    """Every generation that arrived and could be read, whatever became of it."""
    steps_run: int = 0
    """Steps begun so far, over all requests and variants."""

"""What a test tells the fake to do, and what the fake tells the test that it did."""

from __future__ import annotations

import dataclasses

from backdrop.errors import BackdropError
from backdrop.v1 import generation_service_pb2 as pb


@dataclasses.dataclass
class Failure:
    """A failure that was asked for: the next `times` calls end with `error` after `after_steps` steps."""

    error: BackdropError
    times: int
    after_steps: int


@dataclasses.dataclass
class Script:
    """State that test and server share; both run in one process."""

    step_delay_s: float = 0.0
    """How long every variant takes for a step."""
    ready: bool = True
    """False: every call fails with UNAVAILABLE, and health says NOT_SERVING."""
    failures: list[Failure] = dataclasses.field(default_factory=list)
    requests: list[pb.GenerateRequest] = dataclasses.field(default_factory=list)
    """Every generation that arrived and could be read, whatever became of it."""
    steps_run: int = 0
    """Steps begun so far, over all requests and variants."""

    def next_failure(self) -> Failure | None:
        """Takes the failure that the call that just arrived shall have, if any."""
        if not self.failures:
            return None
        failure = self.failures[0]
        failure.times -= 1
        if failure.times == 0:
            self.failures.pop(0)
        return failure

"""State that a test and the fake share: what is to happen, and what has happened."""

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
    """The script of one fake; test and server run in one process."""

    step_delay_s: float = 0.0
    """Seconds that every variant takes for a step."""
    ready: bool = True
    """False: every call fails with UNAVAILABLE, and health says NOT_SERVING."""
    failures: list[Failure] = dataclasses.field(default_factory=list)
    """One for each of the next calls."""
    requests: list[pb.GenerateRequest] = dataclasses.field(default_factory=list)
    """Every readable request that arrived, in order."""
    steps_run: int = 0
    """Steps begun so far, over all requests and variants."""

"""Why a call to Triton failed, and what follows from it: the one place that reads Triton's messages.

Triton answers UNAVAILABLE for a server that is gone, a server that stops, a full queue, and a request that waited too
long; only the message tells them apart. The message goes to our log, never to a caller.
"""

from __future__ import annotations

import dataclasses
import enum

from tritonclient.utils import InferenceServerException

from backdrop.errors import Reason


class Cause(enum.StrEnum):
    """Why one attempt failed."""

    GONE = "gone"
    STOPPING = "stopping"
    HUNG = "hung"
    TIMEOUT = "timeout"
    STUB_DEAD = "stub_dead"
    NO_MODEL = "no_model"
    QUEUE_FULL = "queue_full"
    QUEUE_TIMEOUT = "queue_timeout"
    MODEL_ERROR = "model_error"
    BAD_OUTPUT = "bad_output"
    REFUSED = "refused"


class Verdict(enum.Enum):
    """What a failure says about the replica."""

    KEEP = "nothing"
    SUSPECT = "until its probe passes, it is used only if no other replica is ready"
    EJECT = "until its probe passes, it is not used"


@dataclasses.dataclass(frozen=True)
class Treatment:
    """What follows from a cause.

    Attributes:
        verdict: on the replica.
        attempts: how many attempts of one call may end this way before the call fails.
        reason: of the error that the caller gets then.
        message: of that error; {model} is the model's name.
    """

    verdict: Verdict
    attempts: int
    reason: Reason
    message: str


_AWAY = "No replica of model {model} answers now; try again in a moment."
_BUSY = "Every replica of model {model} has a full queue; try again in a moment."
_BROKEN = "Model {model} failed on this request; quote the request's id when reporting it."
_MANY = 5

TREATMENTS: dict[Cause, Treatment] = {
    Cause.GONE: Treatment(Verdict.EJECT, _MANY, Reason.NO_REPLICA, _AWAY),
    Cause.STOPPING: Treatment(Verdict.EJECT, _MANY, Reason.NO_REPLICA, _AWAY),
    Cause.HUNG: Treatment(Verdict.EJECT, _MANY, Reason.NO_REPLICA, _AWAY),
    Cause.TIMEOUT: Treatment(Verdict.EJECT, 3, Reason.NO_REPLICA, _AWAY),
    Cause.STUB_DEAD: Treatment(Verdict.EJECT, _MANY, Reason.NO_REPLICA, _AWAY),
    Cause.NO_MODEL: Treatment(Verdict.EJECT, _MANY, Reason.NO_REPLICA, _AWAY),
    Cause.QUEUE_FULL: Treatment(Verdict.KEEP, _MANY, Reason.QUEUE_FULL, _BUSY),
    # The call has waited as long as the queue allows; to wait again would only make the queue longer.
    Cause.QUEUE_TIMEOUT: Treatment(Verdict.KEEP, 1, Reason.QUEUE_FULL, _BUSY),
    # Two attempts, on two replicas if there are two: then the request or the model is the cause, not the replica.
    Cause.MODEL_ERROR: Treatment(Verdict.SUSPECT, 2, Reason.MODEL_FAILED, _BROKEN),
    Cause.BAD_OUTPUT: Treatment(Verdict.SUSPECT, 1, Reason.MODEL_FAILED, _BROKEN),
    Cause.REFUSED: Treatment(Verdict.KEEP, 1, Reason.MODEL_FAILED, _BROKEN),
}

# Parts of Triton's messages in lower case; the first that matches decides.
_FRAGMENTS = (
    ("exceeds maximum queue size", Cause.QUEUE_FULL),
    ("request timeout expired", Cause.QUEUE_TIMEOUT),
    ("stub process", Cause.STUB_DEAD),
    ("is not healthy", Cause.STUB_DEAD),
    ("stopping", Cause.STOPPING),
    ("shutting down", Cause.STOPPING),
    ("unknown model", Cause.NO_MODEL),
    ("no available versions", Cause.NO_MODEL),
    ("is not ready", Cause.NO_MODEL),
)

_STATUSES = {
    "StatusCode.UNAVAILABLE": Cause.GONE,
    # A server that stops cancels the calls that it still holds. Our own cancellation does not arrive here.
    "StatusCode.CANCELLED": Cause.GONE,
    "StatusCode.UNIMPLEMENTED": Cause.GONE,
    "StatusCode.DEADLINE_EXCEEDED": Cause.TIMEOUT,
    "StatusCode.NOT_FOUND": Cause.NO_MODEL,
    "StatusCode.INVALID_ARGUMENT": Cause.REFUSED,
    "StatusCode.OUT_OF_RANGE": Cause.REFUSED,
    "StatusCode.RESOURCE_EXHAUSTED": Cause.REFUSED,
}


def classify(problem: InferenceServerException) -> Cause:
    """Returns the cause of a failed call."""
    status, text = problem.status() or "", (problem.message() or "").lower()
    if status in ("StatusCode.UNAVAILABLE", "StatusCode.INTERNAL", "StatusCode.NOT_FOUND", "StatusCode.UNKNOWN"):
        for fragment, cause in _FRAGMENTS:
            if fragment in text:
                return cause
    return _STATUSES.get(status, Cause.MODEL_ERROR)


class CallFailed(Exception):  # noqa: N818  # an attempt's outcome inside this package, not an error of ours
    """One attempt failed; `detail` is foreign text, for the log alone."""

    def __init__(self, cause: Cause, detail: str) -> None:
        super().__init__(cause.value)
        self.cause = cause
        self.detail = detail

"""The error tree that callers catch, and the one table that pairs every reason with its class and gRPC status.

BackdropError
├── InvalidRequestError      INVALID_ARGUMENT    the request can never succeed as it is; `field` names the culprit
├── NotFoundError            NOT_FOUND           a pipeline, adapter, style or job that is not served
├── ConflictError            ALREADY_EXISTS      an idempotency key that belongs to another request
├── UnauthenticatedError     UNAUTHENTICATED     no identity, or a wrong one
├── PermissionDeniedError    PERMISSION_DENIED   not allowed to do that
├── OverloadedError          RESOURCE_EXHAUSTED  queue full, quota spent, message too large; see `retry_after_s`
├── UnavailableError         UNAVAILABLE         no replica, or draining: safe to retry
├── DeadlineExceededError    DEADLINE_EXCEEDED   the deadline passed, or could never have been met
├── CancelledError           CANCELLED           the caller left
├── UnimplementedError       UNIMPLEMENTED       the server does not know the method
└── InternalError            INTERNAL            the server's fault; quote `request_id` when reporting it

The server raises the same classes; `to_status` turns them into a status with google.rpc.ErrorInfo, BadRequest,
RetryInfo and QuotaFailure in its details (AIP-193), and the SDK turns that status into the same class again.
"""

from __future__ import annotations

import dataclasses
import enum

import grpc
from google.protobuf import duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

DOMAIN = "backdrop"


class Reason(enum.StrEnum):
    """`ErrorInfo.reason`: what went wrong, for programs."""

    INVALID_PICTURE = "INVALID_PICTURE"
    PICTURE_TOO_LARGE = "PICTURE_TOO_LARGE"
    INVALID_MASK = "INVALID_MASK"
    INVALID_PROMPT = "INVALID_PROMPT"
    PROMPT_TOO_LONG = "PROMPT_TOO_LONG"
    INVALID_SIZE = "INVALID_SIZE"
    INVALID_PLACEMENT = "INVALID_PLACEMENT"
    OUT_OF_RANGE = "OUT_OF_RANGE"
    UNKNOWN_VALUE = "UNKNOWN_VALUE"
    DUPLICATE = "DUPLICATE"
    STYLE_NOT_TAKEN = "STYLE_NOT_TAKEN"
    MISSING_FIELD = "MISSING_FIELD"
    FIELD_NOT_TAKEN = "FIELD_NOT_TAKEN"
    TASK_NOT_SERVED = "TASK_NOT_SERVED"
    NOT_SCORED = "NOT_SCORED"
    INVALID_MESSAGE = "INVALID_MESSAGE"
    UNUSABLE_CLIENT = "UNUSABLE_CLIENT"
    UNKNOWN_PIPELINE = "UNKNOWN_PIPELINE"
    UNKNOWN_ADAPTER = "UNKNOWN_ADAPTER"
    IDEMPOTENCY_KEY_REUSED = "IDEMPOTENCY_KEY_REUSED"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    QUEUE_FULL = "QUEUE_FULL"
    QUOTA_SPENT = "QUOTA_SPENT"
    MESSAGE_TOO_LARGE = "MESSAGE_TOO_LARGE"
    SLOW_READER = "SLOW_READER"
    NO_REPLICA = "NO_REPLICA"
    DRAINING = "DRAINING"
    UNREACHABLE = "UNREACHABLE"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    DEADLINE_TOO_SHORT = "DEADLINE_TOO_SHORT"
    CANCELLED = "CANCELLED"
    UNIMPLEMENTED = "UNIMPLEMENTED"
    MODEL_FAILED = "MODEL_FAILED"
    INTERNAL = "INTERNAL"


class BackdropError(Exception):
    """Base of everything that Backdrop raises.

    Attributes:
        message: one sentence that says what is wrong and what to do.
        reason: the same for programs.
        field: path of the request field at fault ("background.placement.fit.padding"), or "".
        retry_after_s: seconds after which a retry may succeed; None when a retry cannot help, or the time is unknown.
        request_id: the server's name for the request; "" when the server did not name it.
        quota: name of the quota that is spent ("concurrent_requests"), as `backdrop info` lists it, or "".
    """

    code: grpc.StatusCode = grpc.StatusCode.INTERNAL

    def __init__(
        self,
        message: str,
        *,
        reason: Reason,
        field: str = "",
        retry_after_s: float | None = None,
        request_id: str = "",
        quota: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.field = field
        self.retry_after_s = retry_after_s
        self.request_id = request_id
        self.quota = quota


class InvalidRequestError(BackdropError):
    """The request can never succeed as it is; `field` names what to change."""

    code = grpc.StatusCode.INVALID_ARGUMENT


class NotFoundError(BackdropError):
    """Something that the request names is not served."""

    code = grpc.StatusCode.NOT_FOUND


class ConflictError(BackdropError):
    """The idempotency key belongs to another request."""

    code = grpc.StatusCode.ALREADY_EXISTS


class UnauthenticatedError(BackdropError):
    """No identity came with the call, or a wrong one."""

    code = grpc.StatusCode.UNAUTHENTICATED


class PermissionDeniedError(BackdropError):
    """The identity may not do that."""

    code = grpc.StatusCode.PERMISSION_DENIED


class OverloadedError(BackdropError):
    """The server has no place for the request now; `retry_after_s` says when to retry."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class UnavailableError(BackdropError):
    """No server or replica can take the request now; safe to retry."""

    code = grpc.StatusCode.UNAVAILABLE


class DeadlineExceededError(BackdropError):
    """The deadline passed, or could not have been met."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED


class CancelledError(BackdropError):
    """The caller left before the work was done."""

    code = grpc.StatusCode.CANCELLED


class UnimplementedError(BackdropError):
    """The server does not know the method: it is older than this client."""

    code = grpc.StatusCode.UNIMPLEMENTED


class InternalError(BackdropError):
    """The server's fault; quote `request_id` when reporting it."""

    code = grpc.StatusCode.INTERNAL


@dataclasses.dataclass(frozen=True)
class _Row:
    error: type[BackdropError]
    meaning: str


# The one table: docs/errors.md is generated from it, server and SDK both read it.
ERRORS: dict[Reason, _Row] = {
    Reason.INVALID_PICTURE: _Row(InvalidRequestError, "a picture is not a whole, still PNG, JPEG or WebP, or is HDR"),
    Reason.PICTURE_TOO_LARGE: _Row(InvalidRequestError, "the picture has more pixels or bytes than allowed"),
    Reason.INVALID_MASK: _Row(
        InvalidRequestError, "the mask has another size, is coloured, or marks nothing for certain"
    ),
    Reason.INVALID_PROMPT: _Row(InvalidRequestError, "the prompt holds characters that cannot be read"),
    Reason.PROMPT_TOO_LONG: _Row(InvalidRequestError, "the prompt has more tokens than the text encoders read"),
    Reason.INVALID_SIZE: _Row(InvalidRequestError, "the output size is outside its range"),
    Reason.INVALID_PLACEMENT: _Row(InvalidRequestError, "the placement does not lie in the picture"),
    Reason.OUT_OF_RANGE: _Row(InvalidRequestError, "a number is outside its range"),
    Reason.UNKNOWN_VALUE: _Row(InvalidRequestError, "an enum value that this server or pipeline does not know"),
    Reason.DUPLICATE: _Row(InvalidRequestError, "a list names the same thing twice"),
    Reason.STYLE_NOT_TAKEN: _Row(InvalidRequestError, "the pipeline takes no style pictures"),
    Reason.MISSING_FIELD: _Row(InvalidRequestError, "the request names no task, or lacks a field that its task needs"),
    Reason.FIELD_NOT_TAKEN: _Row(InvalidRequestError, "the task does not take the field"),
    Reason.TASK_NOT_SERVED: _Row(InvalidRequestError, "the pipeline does not serve the task"),
    Reason.NOT_SCORED: _Row(InvalidRequestError, "the option needs a reward model, and the pipeline has none"),
    Reason.INVALID_MESSAGE: _Row(InvalidRequestError, "the message is not a valid protobuf of its type"),
    Reason.UNUSABLE_CLIENT: _Row(
        InvalidRequestError, "the client cannot work: its endpoint is wrong, or its process was forked or patched"
    ),
    Reason.UNKNOWN_PIPELINE: _Row(NotFoundError, "no pipeline of that name is served"),
    Reason.UNKNOWN_ADAPTER: _Row(NotFoundError, "the pipeline has no adapter of that name"),
    Reason.IDEMPOTENCY_KEY_REUSED: _Row(ConflictError, "the idempotency key was used with another request"),
    Reason.UNAUTHENTICATED: _Row(UnauthenticatedError, "no identity, or a wrong one"),
    Reason.PERMISSION_DENIED: _Row(PermissionDeniedError, "the identity may not do that"),
    Reason.QUEUE_FULL: _Row(OverloadedError, "as many requests as the server takes are running and waiting"),
    Reason.QUOTA_SPENT: _Row(OverloadedError, "the tenant has a quota, and it is spent; `quota` names it"),
    Reason.MESSAGE_TOO_LARGE: _Row(OverloadedError, "the message is larger than the server accepts"),
    Reason.SLOW_READER: _Row(OverloadedError, "the caller reads the stream more slowly than it is produced"),
    Reason.NO_REPLICA: _Row(UnavailableError, "no model replica answers now"),
    Reason.DRAINING: _Row(UnavailableError, "the server is shutting down; another one will take the request"),
    Reason.UNREACHABLE: _Row(UnavailableError, "no server answers at the endpoint"),
    Reason.DEADLINE_EXCEEDED: _Row(DeadlineExceededError, "the deadline passed, or could no longer be met"),
    Reason.DEADLINE_TOO_SHORT: _Row(DeadlineExceededError, "the deadline is below the best case; nothing was spent"),
    Reason.CANCELLED: _Row(CancelledError, "the caller cancelled"),
    Reason.UNIMPLEMENTED: _Row(UnimplementedError, "the server does not know the method"),
    Reason.MODEL_FAILED: _Row(InternalError, "a model returned something unusable"),
    Reason.INTERNAL: _Row(InternalError, "anything else; a defect of the server"),
}

# The class for a status that arrives without our details: from a proxy, or from grpc itself.
BY_CODE: dict[grpc.StatusCode, Reason] = {
    grpc.StatusCode.INVALID_ARGUMENT: Reason.INVALID_MESSAGE,
    grpc.StatusCode.NOT_FOUND: Reason.UNKNOWN_PIPELINE,
    grpc.StatusCode.ALREADY_EXISTS: Reason.IDEMPOTENCY_KEY_REUSED,
    grpc.StatusCode.UNAUTHENTICATED: Reason.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED: Reason.PERMISSION_DENIED,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Reason.MESSAGE_TOO_LARGE,
    grpc.StatusCode.UNAVAILABLE: Reason.UNREACHABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: Reason.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED: Reason.CANCELLED,
    grpc.StatusCode.UNIMPLEMENTED: Reason.UNIMPLEMENTED,
}


def error(
    reason: Reason,
    message: str,
    *,
    field: str = "",
    retry_after_s: float | None = None,
    request_id: str = "",
    quota: str = "",
) -> BackdropError:
    """Returns the error of the class that the table gives `reason`."""
    details = {"field": field, "retry_after_s": retry_after_s, "request_id": request_id, "quota": quota}
    return ERRORS[reason].error(message, reason=reason, **details)  # type: ignore[arg-type]  # one type a key


# A status travels in HTTP/2 trailers, of which gRPC takes 8 KiB; the text stands there twice, percent-encoded once.
_MAX_TEXT = 512


def to_status(error: BackdropError) -> status_pb2.Status:
    """Returns `error` as the rich status that ends a call (AIP-193).

    A server ends a call with it by `context.abort(error.code, status.message, trailers(status))`. Texts are cut at
    512 characters, because they travel in trailers, which are small.
    """
    message = error.message[:_MAX_TEXT]
    metadata = {"field": error.field[:_MAX_TEXT], "request_id": error.request_id[:_MAX_TEXT]}
    # Servers refuse hundreds of calls at once: this takes half the time of protobuf's own helpers, `Pack` and others.
    status = status_pb2.Status(code=error.code.value[0], message=message)
    metadata = {key: text for key, text in metadata.items() if text}
    _pack(status, error_details_pb2.ErrorInfo(reason=error.reason.value, domain=DOMAIN, metadata=metadata))
    if error.field and error.code is grpc.StatusCode.INVALID_ARGUMENT:
        violation = error_details_pb2.BadRequest.FieldViolation(field=metadata["field"], description=message)
        _pack(status, error_details_pb2.BadRequest(field_violations=[violation]))
    if error.retry_after_s is not None:
        seconds, nanos = divmod(round(error.retry_after_s * 1e9), 10**9)
        _pack(status, error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=seconds, nanos=nanos)))
    if error.quota:
        violation = error_details_pb2.QuotaFailure.Violation(
            subject="tenant", description=message, quota_id=error.quota
        )
        _pack(status, error_details_pb2.QuotaFailure(violations=[violation]))
    return status


def trailers(status: status_pb2.Status) -> tuple[tuple[str, bytes], ...]:
    """Returns the trailing metadata that carries the details of `status` to the caller."""
    return (("grpc-status-details-bin", status.SerializeToString()),)


def _pack(status: status_pb2.Status, detail: Message) -> None:
    type_url = f"type.googleapis.com/{detail.DESCRIPTOR.full_name}"
    status.details.add(type_url=type_url, value=detail.SerializeToString())

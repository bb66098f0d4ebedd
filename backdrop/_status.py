"""gRPC's exceptions to ours; `errors.to_status` is the other direction."""

from __future__ import annotations

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from backdrop import errors
from backdrop.errors import BackdropError, Reason

# Messages for statuses without our details, which come from a proxy or from gRPC itself.
_SENTENCES: dict[Reason, str] = {
    Reason.INVALID_MESSAGE: "The server could not read the request; do client and server come from the same release?",
    Reason.UNKNOWN_PIPELINE: "The server does not serve what the request names; `info()` lists what it serves.",
    Reason.IDEMPOTENCY_KEY_REUSED: "The idempotency key belongs to another request; use a new one.",
    Reason.UNAUTHENTICATED: "The server does not know the caller; send credentials.",
    Reason.PERMISSION_DENIED: "These credentials may not do that.",
    Reason.MESSAGE_TOO_LARGE: "A message was larger than client or server accept; send smaller pictures, or raise "
    "`max_message_bytes`.",
    Reason.UNREACHABLE: "No server answers{at}; is it running, and is the address right?",
    Reason.DEADLINE_EXCEEDED: "The deadline passed before the server had finished; allow more time or request less.",
    Reason.CANCELLED: "The call was cancelled.",
    Reason.UNIMPLEMENTED: "The server{at} does not know this method; it is older than this client, or not Backdrop.",
    Reason.INTERNAL: "The server failed without a reason; its log may have one.",
}

_TLS = (
    "TLS with the server{at} failed; does the server use TLS, are its name and its authority the right ones, and does "
    "it take this client's certificate?"
)

_CUT = "The connection{at} was cut before the answer was complete, by a proxy or the server's end; try again."
_CUT_BY = ("Stream removed", "Received http2 header with status: 5")
"""How gRPC's own texts begin where a stream ended without a gRPC status: a reset, or a proxy's page of an error.

Of one page it is the one or the other, by which of its frames is read first.
"""


def from_rpc_error(exc: grpc.RpcError, endpoint: str = "") -> BackdropError:
    """Returns `exc` as one of our errors.

    A status with our details becomes exactly what the server raised. Any other is mapped by its code
    (`errors.BY_CODE`), with a message of ours, because foreign text may hold paths, stacks or secrets. `endpoint`
    (host:port) is named in messages about an unreachable server.
    """
    code = _code(exc)
    ours = _from_details(_rich_status(exc), code)
    if ours is not None:
        return ours
    at = f" at {endpoint}" if endpoint else ""
    if code is not grpc.StatusCode.UNAVAILABLE and _text(exc).startswith(_CUT_BY):
        # The code that gRPC makes of it, such as INTERNAL or CANCELLED, is nobody's: no server said it.
        return errors.error(Reason.UNREACHABLE, _CUT.format(at=at))
    reason = errors.BY_CODE.get(code, Reason.INTERNAL)
    sentence = _TLS if reason is Reason.UNREACHABLE and _failed_handshake(exc) else _SENTENCES[reason]
    return errors.error(reason, sentence.format(at=at))


def _from_details(status: status_pb2.Status | None, code: grpc.StatusCode) -> BackdropError | None:
    if status is None:
        return None
    info = error_details_pb2.ErrorInfo()
    bad_request = error_details_pb2.BadRequest()
    retry = error_details_pb2.RetryInfo()
    quota = error_details_pb2.QuotaFailure()
    try:
        for packed in status.details:
            for detail in (info, bad_request, retry, quota):
                packed.Unpack(detail)
    except DecodeError:
        return None
    if info.domain != errors.DOMAIN:
        return None
    try:
        reason = Reason(info.reason)
    except ValueError:  # a newer server; its code still says what kind of error it is
        reason = errors.BY_CODE.get(code, Reason.INTERNAL)
    field = info.metadata.get("field", "")
    if not field and bad_request.field_violations:
        field = bad_request.field_violations[0].field
    return errors.error(
        reason,
        status.message,
        field=field,
        retry_after_s=retry.retry_delay.ToNanoseconds() / 1e9 if retry.HasField("retry_delay") else None,
        request_id=info.metadata.get("request_id", ""),
        quota=quota.violations[0].quota_id if quota.violations else "",
    )


def _rich_status(exc: grpc.RpcError) -> status_pb2.Status | None:
    """Returns the google.rpc.Status in the trailers of `exc`, or None where there is none that can be read."""
    trailing_metadata = getattr(exc, "trailing_metadata", None)
    for key, value in (trailing_metadata() if callable(trailing_metadata) else None) or ():
        if key == "grpc-status-details-bin":
            try:
                return status_pb2.Status.FromString(value)
            except DecodeError:
                return None
    return None


def _failed_handshake(exc: grpc.RpcError) -> bool:
    return any(sign in _text(exc) for sign in ("SSL", "TSI_", "CERTIFICATE", "andshake"))


def _text(exc: grpc.RpcError) -> str:
    details = getattr(exc, "details", None)
    return str(details() if callable(details) else "")


def _code(exc: grpc.RpcError) -> grpc.StatusCode:
    code = getattr(exc, "code", None)
    status = code() if callable(code) else None
    return status if isinstance(status, grpc.StatusCode) else grpc.StatusCode.UNKNOWN

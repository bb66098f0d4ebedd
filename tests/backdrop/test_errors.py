"""Errors: one table, the same on both sides of the wire, and no foreign words."""

from __future__ import annotations

import re
from typing import Any

import grpc
import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st

from backdrop import errors
from backdrop._status import from_rpc_error
from backdrop.errors import BY_CODE, ERRORS, BackdropError, OverloadedError, Reason, error, to_status, trailers
from tests.backdrop.test_package import ROOT

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)


class WireError(grpc.RpcError):
    """A call that ended with a status, as gRPC raises it."""

    def __init__(self, code: grpc.StatusCode, details: str, metadata: tuple[tuple[str, bytes], ...] = ()) -> None:
        self._answer = (code, details, metadata)

    def code(self) -> grpc.StatusCode:
        return self._answer[0]

    def details(self) -> str:
        return self._answer[1]

    def trailing_metadata(self) -> Any:
        return self._answer[2]


def over_the_wire(problem: BackdropError) -> BackdropError:
    status = to_status(problem)
    return from_rpc_error(WireError(problem.code, status.message, trailers(status)))


@given(
    reason=st.sampled_from(Reason),
    message=TEXT,
    field=TEXT,
    retry_after_s=st.none() | st.floats(0, 1e6),
    request_id=TEXT,
)
def test_errors_survive_the_wire(
    reason: Reason, message: str, field: str, retry_after_s: float | None, request_id: str
) -> None:
    sent = error(reason, message, field=field, retry_after_s=retry_after_s, request_id=request_id)
    received = over_the_wire(sent)
    assert type(received) is type(sent)
    assert received.reason is reason
    assert (received.message, received.field, received.request_id) == (message, field, request_id)
    assert str(received) == message
    if retry_after_s is None:
        assert received.retry_after_s is None
    else:
        assert received.retry_after_s == pytest.approx(retry_after_s, abs=1e-9)


def test_a_spent_quota_is_named_and_has_a_quota_failure_for_other_languages() -> None:
    problem = error(Reason.QUOTA_SPENT, "spent", retry_after_s=2.5, quota="stored_bytes")
    received = over_the_wire(problem)
    assert (type(received), received.quota, received.retry_after_s) == (OverloadedError, "stored_bytes", 2.5)
    assert over_the_wire(error(Reason.QUEUE_FULL, "full")).quota == ""
    detail = error_details_pb2.QuotaFailure()
    assert any(packed.Unpack(detail) for packed in to_status(problem).details)
    assert [(v.quota_id, v.description) for v in detail.violations] == [("stored_bytes", "spent")]


def test_long_texts_fit_into_trailers() -> None:
    status = to_status(error(Reason.OUT_OF_RANGE, "é" * 10_000, field="f" * 10_000, request_id="r" * 10_000))
    assert len(status.SerializeToString()) < 6000


def test_bad_input_has_a_bad_request_for_other_languages() -> None:
    status = to_status(error(Reason.INVALID_SIZE, "too small", field="delivery.size.width"))
    detail = error_details_pb2.BadRequest()
    assert any(packed.Unpack(detail) for packed in status.details)
    assert [(v.field, v.description) for v in detail.field_violations] == [("delivery.size.width", "too small")]


@pytest.mark.parametrize("code", list(grpc.StatusCode), ids=lambda code: code.name)
def test_statuses_without_details_become_ours_without_their_text(code: grpc.StatusCode) -> None:
    got = from_rpc_error(WireError(code, "/srv/app.py line 3: secret"), "host:1")
    expected = BY_CODE.get(code, Reason.INTERNAL)
    assert got.reason is expected
    assert isinstance(got, ERRORS[expected].error)
    assert "secret" not in got.message
    assert re.fullmatch(r"[A-Z].*[.?]", got.message)
    assert "{" not in got.message


def test_an_unreachable_endpoint_is_named() -> None:
    assert "host:1" in from_rpc_error(WireError(grpc.StatusCode.UNAVAILABLE, ""), "host:1").message


def test_details_of_strangers_are_not_trusted() -> None:
    status = status_pb2.Status(code=3, message="secret")
    packed = any_pb2.Any()
    packed.Pack(error_details_pb2.ErrorInfo(domain="proxy.example", reason="QUEUE_FULL"))
    status.details.append(packed)
    got = from_rpc_error(WireError(grpc.StatusCode.INVALID_ARGUMENT, "secret", trailers(status)))
    assert got.reason is Reason.INVALID_MESSAGE
    assert "secret" not in got.message


def test_a_reason_of_a_newer_server_falls_back_to_its_code() -> None:
    status = status_pb2.Status(code=8, message="Your quota is spent.")
    packed = any_pb2.Any()
    packed.Pack(error_details_pb2.ErrorInfo(domain="backdrop", reason="QUOTA_OF_2031"))
    status.details.append(packed)
    got = from_rpc_error(WireError(grpc.StatusCode.RESOURCE_EXHAUSTED, "Your quota is spent.", trailers(status)))
    assert isinstance(got, errors.OverloadedError)
    assert got.message == "Your quota is spent."


@pytest.mark.parametrize("garbage", [b"\xff\xff\xff", b"", b"\x1a\x04\x0a\x02\x41\x41"])
def test_garbage_in_the_trailers_is_survived(garbage: bytes) -> None:
    metadata = (("grpc-status-details-bin", garbage),)
    got = from_rpc_error(WireError(grpc.StatusCode.NOT_FOUND, "", metadata))
    assert isinstance(got, errors.NotFoundError)


def test_an_exception_without_a_status_is_internal() -> None:
    assert isinstance(from_rpc_error(grpc.RpcError()), errors.InternalError)


def test_the_table_is_whole() -> None:
    assert set(ERRORS) == set(Reason)
    assert {row.error for row in ERRORS.values()} == set(BackdropError.__subclasses__())
    # What has a class of its own is found by its code alone, too.
    codes = {cls.code for cls in BackdropError.__subclasses__()} - {grpc.StatusCode.INTERNAL}
    assert set(BY_CODE) == codes
    assert all(ERRORS[reason].error.code is code for code, reason in BY_CODE.items())


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = dict(re.findall(r"[├└]── (\w+) +([A-Z_]+) ", errors.__doc__ or ""))
    assert drawn == {cls.__name__: cls.code.name for cls in BackdropError.__subclasses__()}


def test_the_docs_list_every_reason_with_its_status() -> None:
    page = (ROOT / "docs" / "errors.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("|")]
    for reason, row in ERRORS.items():
        listed = [line for line in rows if f"`{reason}`" in line]
        assert len(listed) == 1, reason
        assert row.error.code.name in listed[0]
        assert row.meaning in listed[0]

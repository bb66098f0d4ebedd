"""Bad input: refused with the right status and field, in words of ours, whatever it is."""

from __future__ import annotations

import random
import re
from typing import Any

import grpc
import pytest

from backdrop import BackdropError, InvalidRequestError, OverloadedError, Reason, UnimplementedError
from backdrop._status import from_rpc_error
from backdrop.v1 import info_service_pb2 as info_pb
from tests.contract.bad_inputs import GENERATE, MALFORMED, BadInput, bad_inputs, stream, valid_request

GET_INFO = "/backdrop.v1.InfoService/GetInfo"
# Traces of the inside: paths, stacks, libraries, addresses.
FOREIGN = re.compile(r"Traceback|File \"|\.py\b|(?<!\w)/\w+/|PIL|numpy|onnx|triton|redis|0x[0-9a-f]{6}|Errno|\n", re.I)
# What a request may end with, whatever it holds. INTERNAL and UNKNOWN are not among them.
ALLOWED = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.RESOURCE_EXHAUSTED}


async def send(channel: grpc.aio.Channel, message: bytes, method: str = GENERATE) -> BackdropError | None:
    """Sends raw bytes; returns the error that comes back, None for success."""
    try:
        async for _ in stream(channel, message, method):
            pass
    except grpc.aio.AioRpcError as exc:
        return from_rpc_error(exc)
    return None


@pytest.mark.parametrize("bad", bad_inputs(), ids=lambda bad: bad.name)
async def test_bad_input_is_refused_and_the_field_named(channel: grpc.aio.Channel, bad: BadInput) -> None:
    error = await send(channel, bad.request.SerializeToString())
    assert error is not None
    assert error.code is bad.code, error.message
    assert error.field == bad.field or error.field.startswith(bad.field + "."), (error.field, error.message)
    assert not FOREIGN.search(error.message), error.message
    assert re.fullmatch("[0-9a-f]{32}", error.request_id)


async def test_what_the_table_changes_was_valid_before(channel: grpc.aio.Channel) -> None:
    assert await send(channel, valid_request().SerializeToString()) is None


@pytest.mark.parametrize("name", MALFORMED)
async def test_bytes_that_are_no_message_are_an_invalid_argument(channel: grpc.aio.Channel, name: str) -> None:
    error = await send(channel, MALFORMED[name])
    assert isinstance(error, InvalidRequestError)
    assert error.reason is Reason.INVALID_MESSAGE
    assert not FOREIGN.search(error.message)


async def test_mutilated_requests_never_break_the_server(channel: grpc.aio.Channel) -> None:
    dice = random.Random(20261122)
    whole = valid_request({"conditioning.prompt": "on a table"}).SerializeToString()
    for _ in range(60):
        mutilated = bytearray(whole)
        for _ in range(dice.randint(1, 4)):
            at = dice.choice((dice.randrange(40), dice.randrange(len(whole)), len(whole) - 1 - dice.randrange(30)))
            mutilated[at] = dice.randrange(256)
        error = await send(channel, bytes(mutilated))
        assert error is None or error.code in ALLOWED, (error.code, error.message, bytes(mutilated[:60]))
        assert error is None or not FOREIGN.search(error.message), error.message


async def test_a_message_over_the_limit_exhausts_resources(channel: grpc.aio.Channel) -> None:
    get_info: Any = channel.unary_unary(GET_INFO, None, response_deserializer=info_pb.GetInfoResponse.FromString)
    limit = (await get_info(b"")).limits.max_request_bytes
    error = await send(channel, valid_request({"background.product": bytes(limit)}).SerializeToString())
    assert isinstance(error, OverloadedError)
    assert error.reason is Reason.MESSAGE_TOO_LARGE


@pytest.mark.parametrize("method", ["/backdrop.v1.GenerationService/Paint", "/backdrop.v9.Nothing/At"])
async def test_an_unknown_method_is_unimplemented(channel: grpc.aio.Channel, method: str) -> None:
    assert isinstance(await send(channel, b"", method), UnimplementedError)


async def test_the_status_is_rich(channel: grpc.aio.Channel) -> None:
    """Callers in other languages read ErrorInfo and BadRequest themselves."""
    from google.rpc import error_details_pb2, status_pb2

    call = stream(channel, valid_request({"sampling.steps": 0}).SerializeToString())
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()
    trailers: dict[str, Any] = dict(caught.value.trailing_metadata() or ())  # type: ignore[arg-type]
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    assert status.code == caught.value.code().value[0]
    assert status.message == caught.value.details()
    info, bad_request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    assert any(detail.Unpack(info) for detail in status.details)
    assert any(detail.Unpack(bad_request) for detail in status.details)
    assert (info.domain, info.reason) == ("backdrop", "OUT_OF_RANGE")
    assert [violation.field for violation in bad_request.field_violations] == ["sampling.steps"]

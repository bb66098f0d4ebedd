"""Sends every bad request of the contract suite and collects those whose refusal differs from the contract."""

from __future__ import annotations

import grpc
import grpc.aio

from backdrop._status import from_rpc_error
from tests.contract.bad_inputs import MALFORMED, BadInput, bad_inputs

_METHOD = "/backdrop.v1.GenerationService/Generate"


async def wrong_refusals(endpoint: str) -> tuple[list[str], int]:
    """Returns (descriptions of the wrong ones, requests sent)."""
    cases = bad_inputs()
    wrong = []
    options = [("grpc.max_send_message_length", -1)]
    async with grpc.aio.insecure_channel(endpoint, options=options) as channel:
        # Bytes in, bytes out: malformed messages can be sent too.
        raw = channel.unary_stream(_METHOD, request_serializer=None, response_deserializer=None)
        for case in cases:
            wrong += await _refusal(raw, case.name, case.request.SerializeToString(), case)
        for name, data in MALFORMED.items():
            wrong += await _refusal(raw, name, data, None)
    return wrong, len(cases) + len(MALFORMED)


async def _refusal(
    raw: grpc.aio.UnaryStreamMultiCallable[bytes, bytes], name: str, data: bytes, case: BadInput | None
) -> list[str]:
    try:
        async for _ in raw(data, timeout=60):
            pass
    except grpc.aio.AioRpcError as status:
        refusal, field = status.code(), from_rpc_error(status).field
        code = case.code if case else grpc.StatusCode.INVALID_ARGUMENT
        inside = case is None or field == case.field or field.startswith(f"{case.field}.")
        return [] if refusal is code and inside else [f"{name}: {refusal.name} {field}"]
    return [f"{name}: accepted"]

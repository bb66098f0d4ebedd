"""What a server receives of the tensors that the wire lays out: over gRPC, from messages and from shared memory."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from concurrent import futures
from typing import Any

import grpc
from tritonclient.grpc import InferenceServerClient, InferInput, service_pb2, service_pb2_grpc

from orchestrator.triton.shared_memory import FOLDER


@dataclasses.dataclass(frozen=True)
class Received:
    """One input as the server got it."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    message: bytes | None
    """Its bytes in the message; None = it came by reference."""
    content: bytes
    """Its bytes, wherever they came from."""


class Receiver(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]  # untyped
    """Reads the inputs of one call, as Triton does, and answers nothing."""

    def __init__(self) -> None:
        self.address = ""
        self._request: Any = None

    def ModelInfer(self, request: Any, context: object) -> Any:
        self._request = request
        return service_pb2.ModelInferResponse()

    def receive(self, tensors: Sequence[InferInput]) -> list[Received]:
        """Sends tensors to the server, and returns what it got."""
        with contextlib.closing(InferenceServerClient(self.address)) as client:
            client.infer("model", list(tensors))
        messages = iter(self._request.raw_input_contents)
        return [self._read(tensor, messages) for tensor in self._request.inputs]

    def _read(self, tensor: Any, messages: Iterator[bytes]) -> Received:
        head = tensor.name, tensor.datatype, tuple(tensor.shape)
        region = tensor.parameters["shared_memory_region"].string_param
        if not region:
            message = next(messages)
            return Received(*head, message, message)
        offset = tensor.parameters["shared_memory_offset"].int64_param
        size = tensor.parameters["shared_memory_byte_size"].int64_param
        return Received(*head, None, (FOLDER / region).read_bytes()[offset : offset + size])


@contextlib.contextmanager
def receiving() -> Iterator[Receiver]:
    """Runs a receiver on a free port."""
    receiver = Receiver()
    server = grpc.server(futures.ThreadPoolExecutor(1))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(receiver, server)
    receiver.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield receiver
    finally:
        server.stop(None)

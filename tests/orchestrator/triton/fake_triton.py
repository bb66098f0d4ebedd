"""A small in-process server of the KServe v2 protocol that fails on purpose."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import numpy as np
from tritonclient.grpc import model_config_pb2, service_pb2, service_pb2_grpc

from tests.patience import PATIENCE_S

Status = grpc.StatusCode


Context = grpc.aio.ServicerContext[Any, Any]
Fault = tuple[grpc.StatusCode, str] | str | None


class FakeTriton(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]  # untyped
    """Models that double: `x` FP32 [2] → `y` FP32 [2]. Attributes are switched by tests.

    Attributes:
        models: the names it serves.
        fault: None, or what an inference does instead: (status, text), "hang", "nan", "rows", "empty" or "missing".
        only_rows: the fault concerns batches of this many rows alone; 0 = all.
        ready: what ServerReady says.
        stopped: nothing is answered, as after SIGSTOP.
        delay_s: before an answer.
        seen, cancelled: inferences begun, and those cancelled by the client.
    """

    def __init__(self, fingerprint: str = "sha256:1") -> None:
        self.fingerprint = fingerprint
        self.models = {"double"}
        self.fault: Fault = None
        self.only_rows = 0
        self.ready = True
        self.stopped = False
        self.delay_s = 0.0
        self.seen = 0
        self.cancelled = 0
        self.request_ids: list[str] = []
        self.began = asyncio.Event()
        self.address = ""
        self._server: grpc.aio.Server | None = None

    async def start(self) -> None:
        """Listens, on the port it had before if it was stopped."""
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(self, self._server)
        port = self._server.add_insecure_port(self.address or "127.0.0.1:0")
        self.address = f"127.0.0.1:{port}"
        await self._server.start()

    async def kill(self) -> None:
        """Goes away at once, with calls in flight."""
        assert self._server is not None
        await self._server.stop(None)

    async def ServerReady(self, request: Any, context: Context) -> Any:
        await self._pause()
        return service_pb2.ServerReadyResponse(ready=self.ready)

    async def ModelConfig(self, request: Any, context: Context) -> Any:
        await self._pause()
        await self._expect_model(request.name, context)
        kind = model_config_pb2.TYPE_FP32
        config = model_config_pb2.ModelConfig(name=request.name, max_batch_size=8)
        config.input.add(name="x", data_type=kind, dims=[2])
        config.output.add(name="y", data_type=kind, dims=[-1])
        config.parameters["fingerprint"].string_value = self.fingerprint
        return service_pb2.ModelConfigResponse(config=config)

    async def ModelInfer(self, request: Any, context: Context) -> Any:
        self.seen += 1
        self.request_ids.append(request.id)
        self.began.set()
        try:
            await self._pause()
            await asyncio.sleep(self.delay_s)
            await self._expect_model(request.model_name, context)
            return await self._answer(request, context)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    async def _answer(self, request: Any, context: Context) -> Any:
        x = np.frombuffer(request.raw_input_contents[0], np.float32).reshape(tuple(request.inputs[0].shape))
        fault = self.fault if self.only_rows in (0, len(x)) else None
        y = 2 * x
        if isinstance(fault, tuple):
            await context.abort(*fault)
        if fault == "hang":
            await asyncio.Event().wait()
        if fault == "nan":
            y[-1, -1] = np.nan
        if fault == "rows":
            y = y[1:]
        answer = service_pb2.ModelInferResponse(model_name=request.model_name)
        if fault != "missing":
            answer.outputs.add(name="y", datatype="FP32", shape=y.shape)
            answer.raw_output_contents.append(b"" if fault == "empty" else y.tobytes())
        return answer

    async def _expect_model(self, name: str, context: Context) -> None:
        if name not in self.models:
            await context.abort(Status.NOT_FOUND, f"Request for unknown model: '{name}' is not found")

    async def _pause(self) -> None:
        while self.stopped:  # noqa: ASYNC110  # tests flip a plain attribute
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def serving(count: int) -> AsyncIterator[list[FakeTriton]]:
    """Runs `count` servers on free ports."""
    servers = [FakeTriton() for _ in range(count)]
    for server in servers:
        await server.start()
    try:
        yield servers
    finally:
        for server in servers:
            server.stopped = False
            await server.kill()


async def eventually(condition: Callable[[], bool], within_s: float = PATIENCE_S) -> None:
    """Waits until the condition holds."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110  # any condition
            await asyncio.sleep(0.005)

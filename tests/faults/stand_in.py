"""A stand-in for Triton: a process that serves repositories of `model.py` over its protocol, and starts in a second.

usage: python -m tests.faults.stand_in REPOSITORY PORT

Short tests use it in the place of a Triton, which starts a process for each model. It runs the same `model.py`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import importlib.util
import json
import sys
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from google.protobuf import json_format, text_format
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from tritonclient.grpc import model_config_pb2, service_pb2, service_pb2_grpc

_DTYPES = {"FP32": np.float32, "INT64": np.int64}


@dataclasses.dataclass(frozen=True)
class Tensor:
    """What Triton's Python backend calls a tensor."""

    name: str
    array: Any

    def as_numpy(self) -> Any:
        """Its values."""
        return self.array


@dataclasses.dataclass(frozen=True)
class InferenceResponse:
    """What a model answers."""

    output_tensors: list[Tensor]


def backend_utils() -> types.ModuleType:
    """The module that models import from Triton; a request is a dictionary here."""
    module = types.ModuleType("triton_python_backend_utils")
    vars(module).update(
        Tensor=Tensor,
        InferenceResponse=InferenceResponse,
        get_input_tensor_by_name=lambda request, name: Tensor(name, request[name]),
    )
    return module


class Model:
    """One model of the repository; runs one batch at a time."""

    def __init__(self, folder: Path) -> None:
        self.config = text_format.Parse((folder / "config.pbtxt").read_text(), model_config_pb2.ModelConfig())
        spec = importlib.util.spec_from_file_location(folder.name, folder / "1" / "model.py")
        assert spec is not None, "it is a file"
        assert spec.loader is not None, "it is a file"
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        config = json_format.MessageToDict(self.config, preserving_proto_field_name=True)
        self._program = module.TritonPythonModel()
        self._program.initialize({"model_config": json.dumps(config)})
        self._worker = ThreadPoolExecutor(1)
        self.rows = 0

    async def run(self, inputs: dict[str, Any]) -> list[Tensor]:
        """Answers one request."""
        loop = asyncio.get_running_loop()
        (response,) = await loop.run_in_executor(self._worker, self._program.execute, [inputs])
        self.rows += len(next(iter(inputs.values())))
        tensors: list[Tensor] = response.output_tensors
        return tensors


class StandIn(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]  # untyped
    """The methods of Triton's service that an orchestrator calls; there is no shared memory."""

    def __init__(self, repository: Path) -> None:
        sys.modules["triton_python_backend_utils"] = backend_utils()
        self._models = {path.parent.name: Model(path.parent) for path in repository.glob("*/config.pbtxt")}

    async def ServerReady(self, request: Any, context: Any) -> Any:
        return service_pb2.ServerReadyResponse(ready=True)

    async def ModelConfig(self, request: Any, context: Any) -> Any:
        return service_pb2.ModelConfigResponse(config=(await self._model(request.name, context)).config)

    async def ModelStatistics(self, request: Any, context: Any) -> Any:
        answer = service_pb2.ModelStatisticsResponse()
        answer.model_stats.add(name=request.name, inference_count=(await self._model(request.name, context)).rows)
        return answer

    async def ModelInfer(self, request: Any, context: Any) -> Any:
        model = await self._model(request.model_name, context)
        inputs = {
            tensor.name: np.frombuffer(data, _DTYPES[tensor.datatype]).reshape(tuple(tensor.shape))
            for tensor, data in zip(request.inputs, request.raw_input_contents, strict=True)
        }
        answer = service_pb2.ModelInferResponse(model_name=request.model_name)
        for tensor in await model.run(inputs):
            answer.outputs.add(name=tensor.name, datatype="FP32", shape=tensor.array.shape)
            answer.raw_output_contents.append(tensor.array.tobytes())
        return answer

    async def _model(self, name: str, context: Any) -> Model:
        if name not in self._models:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"Request for unknown model: '{name}' is not found")
        return self._models[name]


async def serve(repository: Path, port: int) -> None:
    """Serves until the process is ended."""
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", -1)])
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(StandIn(repository), server)
    ready = health.aio.HealthServicer()  # type: ignore[attr-defined]  # the stubs lack it
    health_pb2_grpc.add_HealthServicer_to_server(ready, server)
    await ready.set("", health_pb2.HealthCheckResponse.SERVING)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2])))

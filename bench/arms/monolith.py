"""The arm `monolith`: whole requests in one Triton model, as in NVIDIA's tutorial, batched by Triton itself."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from tritonclient.grpc import InferInput
from tritonclient.grpc.aio import InferenceServerClient

from bench.arms.served import REPOSITORY
from bench.figures import ROOT
from bench.requests import BenchRequest
from local import triton
from local.ports import free_ports
from local.supervisor import Supervisor

MODEL = Path(__file__).with_name("monolith_model.py")
_CONFIG = """\
name: "monolith"
backend: "python"
max_batch_size: {max_batch}
input [ {{ name: "request" data_type: TYPE_STRING dims: [ 1 ] }} ]
output [ {{ name: "picture" data_type: TYPE_STRING dims: [ 1 ] }} ]
dynamic_batching {{ max_queue_delay_microseconds: {delay_us} }}
instance_group [ {{ kind: KIND_CPU count: {instances} }} ]
"""
# As many rows as the graphs take at once.
_MAX_ROWS = 16


class MonolithArm:
    """A Triton that serves one model, with a client.

    Args:
        parameters: of the Python model, instead of its defaults (`monolith_model.py`).
        instances: how many copies of it run.
        max_batch: most requests that run side by side.
        delay_us: how long Triton waits to fill a batch, in microseconds.
    """

    name: str = "monolith"

    def __init__(
        self,
        parameters: Mapping[str, str] | None = None,
        *,
        instances: int = 1,
        max_batch: int = 8,
        delay_us: int = 0,
    ) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="backdrop-monolith-"))
        defaults = {"models": "bench.arms.sessions", "repository": str(REPOSITORY), "threads": "2"}
        values = {**defaults, "max_rows": str(_MAX_ROWS), **(parameters or {})}
        config = _CONFIG.format(max_batch=max_batch, delay_us=delay_us, instances=instances)
        repository = self._folder / "repository"
        write_model(repository / "monolith", config, MODEL, values)
        (repository / "pipeline.json").write_text("{}\n")
        port, metrics_port = free_ports(2)
        self._supervisor = Supervisor()
        service = triton.service("monolith", repository, port, metrics_port, self._folder / "logs")
        try:
            self._supervisor.start(service)
        except BaseException:
            self._supervisor.stop()
            raise
        self._client = InferenceServerClient(service.endpoint)

    async def generate(self, request: BenchRequest) -> bytes:
        """Returns the finished picture."""
        tensor = InferInput("request", [1, 1], "BYTES")
        tensor.set_data_from_numpy(np.array([[request.message()]], np.object_))
        answer = await self._client.infer("monolith", [tensor], client_timeout=request.timeout_s)
        return bytes(answer.as_numpy("picture")[0, 0])

    async def close(self) -> None:
        """Stops the server."""
        await self._client.close()
        self._supervisor.stop()
        shutil.rmtree(self._folder)


def write_model(folder: Path, config: str, model: Path, parameters: Mapping[str, str]) -> None:
    """Writes a model folder of Triton's Python backend; `root` among its parameters is the checkout's folder."""
    (folder / "1").mkdir(parents=True)
    shutil.copy2(model, folder / "1" / "model.py")
    entries = [
        f'parameters {{ key: "{key}" value: {{ string_value: "{value}" }} }}\n'
        for key, value in {"root": str(ROOT), **parameters}.items()
    ]
    (folder / "config.pbtxt").write_text(config + "".join(entries))

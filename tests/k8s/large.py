"""A published repository of many gigabytes, in sparse files, and what is read of it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from export.configs import TENSORRT
from export.engines import __main__ as engines
from export.engines import seam
from export.engines.gpu import Gpu
from local import ports
from orchestrator.repository import published, store
from tests.export.engines.conftest import PROFILES
from tests.export.engines.fake import Tensorrt
from tests.k8s.rendering import ROOT, Manifest, of, overlay, pod
from tests.orchestrator.repository.test_repository import document, write

GIGABYTE = 10**9
_SMALL = ("pipeline.json", published.MARK, f"configs/{TENSORRT}")
_opened: list[Path] | None = None


def write_large(volume: Path, size: int, *, marked: bool = True) -> Path:
    """Writes `volume`/repository, whose models have `size` bytes together, as if it had been published.

    Their digests are not those of the files: whatever reads them is wrong, or takes its time.
    """
    folder = volume / "repository"
    folder.mkdir(parents=True)
    content = document(folder)
    tokenizer = next((ROOT / "triton_repo").glob("text_encoder_l/tokenizer.json"))
    for name, entry in content["models"].items():
        os.truncate(folder / name / "1" / "model.onnx", size // len(content["models"]))
        entry["profiles"] = list(PROFILES)
        (folder / name / "configs").mkdir()
        (folder / name / "configs" / TENSORRT).write_text('platform: "tensorrt_plan"\n')
        if name.startswith("text_encoder"):
            shutil.copy(tokenizer, folder / name)
    write(folder, content)
    if marked:
        published.write_mark(folder, published.files_of(content))
    return folder


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and _opened is not None and isinstance(arguments[0], str | os.PathLike):
        _opened.append(Path(arguments[0]))


@contextlib.contextmanager
def opened_below(folder: Path) -> Iterator[list[Path]]:
    """The files below a folder that this process opens meanwhile."""
    global _opened
    sys.addaudithook(_watch)  # cannot be taken away, so it has a switch
    files: list[Path] = []
    _opened = []
    try:
        yield files
    finally:
        files += [file for file in _opened if file.is_relative_to(folder)]
        _opened = None


def read_by_a_gpu_pod(volume: Path, repository: Path) -> list[Path]:
    """Files of a repository that the init containers of Triton's pod open on a GPU node that has all engines.

    They run with the arguments of the rendered overlay. TensorRT and nvidia-smi are stand-ins.
    """
    (triton,) = of(overlay("gpu"), "Deployment", "triton")
    stand_in = seam.Tensorrt(Tensorrt())
    with (
        mock.patch.object(seam, "find", return_value=stand_in),
        mock.patch.object(seam, "local_gpu", return_value=Gpu("NVIDIA-H100", "9.0", "580")),
        mock.patch.object(stand_in, "build", return_value=b"plan"),
    ):
        assert _run(triton, "fit-engines", volume) == 0, "builds the engines, and may read everything"
        with opened_below(repository) as files:
            assert _run(triton, "check-models", volume) == 0
            assert _run(triton, "fit-engines", volume) == 0
    return files


def _run(workload: Manifest, name: str, volume: Path) -> int:
    (container,) = [one for one in pod(workload)["initContainers"] if one["name"] == name]
    arguments = container["args"]
    for there in ("/store", "/engines", "/view"):
        arguments = [argument.replace(there, f"{volume}{there if there != '/store' else ''}") for argument in arguments]
    main = {"orchestrator.repository.store": store.main, "export.engines": engines.main}[container["command"][-1]]
    return main(arguments)


def never_loaded(files: list[Path]) -> int:
    """Bytes of the files that a GPU pod does not load: all but configs and the two documents."""
    return sum(file.stat().st_size for file in files if not str(file).endswith(_SMALL))


@contextlib.contextmanager
def orchestrator(repository: Path, log: Path, **settings: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """An orchestrator without a Triton; yields its address and its process at once."""
    (port,) = ports.free_ports(1)
    environment = {
        "BACKDROP_LISTEN": f"{ports.HOST}:{port}",
        "BACKDROP_REPOSITORY": str(repository),
        "BACKDROP_TRITON_ENDPOINTS": f"{ports.HOST}:1",
        **settings,
    }
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "orchestrator"],
            cwd=ROOT, env={**os.environ, **environment}, stdout=stream, stderr=stream,
        )  # fmt: skip
    try:
        yield f"{ports.HOST}:{port}", process
    finally:
        process.kill()
        process.wait()


def health(address: str, service: str) -> int:
    """The status of a service; UNKNOWN if nobody listens."""
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            question = health_pb2.HealthCheckRequest(service=service)
            return int(health_pb2_grpc.HealthStub(channel).Check(question, timeout=1).status)
        except grpc.RpcError:
            return int(health_pb2.HealthCheckResponse.UNKNOWN)


def wait_until_live(address: str, process: subprocess.Popen[bytes], log: Path, within_s: float = 60.0) -> float:
    """Seconds until health says that the process lives."""
    began = time.monotonic()
    while health(address, "live") != health_pb2.HealthCheckResponse.SERVING:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() - began < within_s, log.read_text()
        time.sleep(0.02)
    return time.monotonic() - began

"""An engine is replaced under a Triton that serves: no call fails, and a bad engine changes nothing."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from local import ports, triton
from local.errors import StartError
from local.guard import clean, descendants
from local.health import serving
from orchestrator.repository.reload import Reloader, signature
from orchestrator.triton import PoolOptions, TritonPool
from tests.k8s.rendering import Manifest, combine, containers, of
from tests.local import small

UID = "the-pods-own"
ROW = np.ones((1, 3), np.float32)


@pytest.fixture(scope="module", params=["cpu", "gpu"])
def deployments(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Manifest]:
    components = ("split-roles", "split-roles/live-engines")
    manifests = combine(tmp_path_factory.mktemp("site"), request.param, components)
    return [of(manifests, "Deployment", name)[0] for name in ("triton", "triton-denoiser")]


def test_the_sidecar_reads_what_its_triton_serves(deployments: list[Manifest]) -> None:
    for deployment in deployments:
        reload, server = containers(deployment)[0], containers(deployment)[-1]
        assert reload["restartPolicy"] == "Always"
        assert f"--model-repository={reload['args'][1]}" in server["args"]
        # The pod's volumes that the links of the repository point into are mounted at the same path.
        mounted = {mount["mountPath"]: mount["name"] for mount in reload["volumeMounts"]}
        theirs = {mount["mountPath"]: mount["name"] for mount in server["volumeMounts"]}
        assert mounted.items() <= theirs.items()
        assert all(mount["readOnly"] for mount in reload["volumeMounts"])
        assert reload["args"][5] in server["command"][3]
        assert reload["image"] == containers(deployment)[1]["image"]


def times(factor: float, file: Path) -> None:
    """Writes a graph that multiplies, and moves it into place atomically, as the engine store does."""
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "factor"], ["y"])],
        "double",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 3])],
        [helper.make_tensor("factor", TensorProto.FLOAT, [1], [factor])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    making = file.with_name(".making")
    onnx.save(model, making)
    making.replace(file)


def key(folder: Path, value: str) -> Path:
    """The file that Triton's start writes."""
    (folder / "key").write_text(f"backdrop-pod={value}")
    return folder / "key"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A Triton under explicit control, as `split-roles` starts it, and its only model's file."""
    try:
        wheel = triton.find_wheel()
    except StartError as missing:
        pytest.skip(str(missing))
    repository = small.write_repository(tmp_path / "repository")
    triton.prepare_backends(wheel, tmp_path / "backends")
    (port,) = ports.free_ports(1)
    prefix = f"backdrop_live_{os.getpid()}_"
    command = [str(wheel / "bin" / "tritonserver"), f"--model-repository={repository}"]
    command += [f"--backend-directory={tmp_path / 'backends'}", "--model-control-mode=explicit", "--load-model=double"]
    command += ["--strict-readiness=true", "--disable-auto-complete-config", "--allow-http=false"]
    command += ["--allow-metrics=false", f"--grpc-address={ports.HOST}", f"--grpc-port={port}"]
    command += [f"--grpc-restricted-protocol=shared-memory,model-repository,trace,logging:backdrop-pod={UID}"]
    command += [f"--backend-config=python,shm-region-prefix-name={prefix}"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **triton.environment(wheel)})
    try:
        deadline = time.monotonic() + small.START_S
        while not serving(f"{ports.HOST}:{port}"):
            assert process.poll() is None, (tmp_path / "log").read_text()[-3000:]
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()[-3000:]
            time.sleep(0.05)
        yield f"{ports.HOST}:{port}", repository / "double" / "1" / "model.onnx"
    finally:
        # Killed: a Triton that has rejected an engine waits for its whole exit timeout (seen with 2.51).
        below = descendants(process.pid)
        for pid in (process.pid, *below):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
        clean(prefix, [])


@pytest.fixture
async def reloader(server: tuple[str, Path], tmp_path: Path) -> AsyncIterator[Reloader]:
    address, file = server
    reloader = Reloader(file.parents[2], address, key(tmp_path, UID))
    for _ in range(2):
        assert await reloader.look() == [], "nothing has changed yet"
    yield reloader
    await reloader.close()


async def settle(reloader: Reloader) -> list[str]:
    """Runs two checks: the second one acts on the change that the first one saw."""
    return [*await reloader.look(), *await reloader.look()]


@pytest.mark.cluster
async def test_a_new_engine_takes_over_and_no_call_fails(server: tuple[str, Path], reloader: Reloader) -> None:
    address, file = server
    pool = TritonPool([address], PoolOptions(patience_s=0.0))
    await pool.start()
    answers: list[float] = []
    over = asyncio.Event()

    async def ask() -> None:
        while not over.is_set():
            answers.append(float((await pool.infer("double", {"x": ROW}))["y"][0, 0]))

    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(ask())
        await asyncio.sleep(0.5)
        times(3, file)
        assert await settle(reloader) == ["double"]
        await asyncio.sleep(0.5)
        over.set()
    await pool.close()
    assert set(answers) == {2.0, 3.0}
    assert answers[-1] == 3.0


@pytest.mark.cluster
async def test_a_bad_engine_changes_nothing(server: tuple[str, Path], reloader: Reloader) -> None:
    address, file = server
    file.write_bytes(b"no graph")
    assert await settle(reloader) == []
    pool = TritonPool([address])
    await pool.start()
    assert (await pool.infer("double", {"x": ROW}))["y"].tolist() == [[2, 2, 2]]
    times(5, file)
    assert await settle(reloader) == ["double"]
    assert (await pool.infer("double", {"x": ROW}))["y"].tolist() == [[5, 5, 5]]
    await pool.close()


@pytest.mark.cluster
async def test_nobody_loads_without_the_pods_key(server: tuple[str, Path], tmp_path: Path) -> None:
    address, file = server
    stranger = Reloader(file.parents[2], address, key(tmp_path, "guess"))
    await settle(stranger)
    times(7, file)
    assert await settle(stranger) == []
    await stranger.close()
    client = InferenceServerClient(address)
    with pytest.raises(InferenceServerException):
        await client.load_model("double")
    await client.close()


def test_a_file_that_is_written_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    file = tmp_path / "1" / "model.plan"
    file.write_bytes(b"a")
    before = signature(tmp_path)
    file.write_bytes(b"ab")
    assert signature(tmp_path) != before
    (tmp_path / "1" / "link").symlink_to(tmp_path / "nothing")
    assert {name for name, *_ in signature(tmp_path)} == {"1/model.plan"}

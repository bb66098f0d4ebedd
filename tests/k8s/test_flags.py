"""The real servers accept the flags and files of the rendered `cpu` overlay.

Each server runs alone, with ports and folders of this test. `test_replay.py` tests that the pods work together.
"""

from __future__ import annotations

import asyncio
import base64
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

from local import ports, triton
from local.errors import StartError
from local.health import serving
from local.redis import find_binary
from orchestrator.cache.leases import Leases
from orchestrator.cache.redis_tier import RedisTier
from orchestrator.cache.results import ResultStore
from orchestrator.repository import store
from tests.k8s.rendering import Manifest, of, overlay, pod, settings, workloads
from tests.orchestrator.cache.redis_process import until_stored
from tests.orchestrator.repository.test_repository import document, write

pytestmark = pytest.mark.cluster
START_S = 240.0


def container(name: str, index: int = 0, kind: str = "containers") -> Manifest:
    spec: Manifest = next(pod(w)[kind][index] for w in workloads(overlay("cpu")) if w["metadata"]["name"] == name)
    return spec


def wait(condition: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while not condition():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


def run(command: list[str], folder: Path, **environment: str) -> tuple[subprocess.Popen[bytes], Path]:
    log = folder / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, cwd=folder, env={**os.environ, **environment})
    return process, log


@pytest.fixture
def triton_address(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Triton with the pod's own arguments and a repository without models."""
    try:
        wheel = triton.find_wheel()
    except StartError as missing:
        pytest.skip(str(missing))
    (tmp_path / "store" / "repository").mkdir(parents=True)
    triton.prepare_backends(wheel, tmp_path / "backends")
    grpc_port, metrics_port = ports.free_ports(2)
    here = {
        "/store/repository": str(tmp_path / "store" / "repository"),
        "/opt/tritonserver/backends": str(tmp_path / "backends"),
        "0.0.0.0": ports.HOST,
        "[::]": ports.HOST,
        "=8001": f"={grpc_port}",
        "=8002": f"={metrics_port}",
        "/run/backdrop/key": str(tmp_path / "key"),
        "/opt/tritonserver/bin": str(wheel / "bin"),
        # The entry point of NVIDIA's image becomes the command.
        "/opt/nvidia/nvidia_entrypoint.sh": "/usr/bin/env",
    }
    (tmp_path / "key").mkdir()
    spec = container("triton")
    command = []
    for argument in (*spec["command"], *spec["args"]):
        for there, mapped in here.items():
            argument = argument.replace(there, mapped)
        command.append(argument)
    process, log = run(command, tmp_path, **triton.environment(wheel))
    try:
        address = f"{ports.HOST}:{grpc_port}"
        wait(lambda: serving(address), process, log)
        yield address, process
    finally:
        process.kill()
        process.wait()


def test_triton_takes_its_flags_and_closes_what_it_should(
    triton_address: tuple[str, subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    address, process = triton_address
    name, _, key = (tmp_path / "key" / "pod").read_text().partition("=")
    assert (tmp_path / "key" / "pod").stat().st_mode & 0o077 == 0
    with InferenceServerClient(address) as client:
        assert client.is_server_ready()
        for closed in (client.get_system_shared_memory_status, client.get_model_repository_index):
            with pytest.raises(InferenceServerException, match=r"(?i)restricted|header|protocol"):
                closed()
            closed(headers={f"triton-grpc-protocol-{name}": key})
    process.send_signal(signal.SIGTERM)
    assert process.wait(pod_grace("triton")) == 0


def pod_grace(name: str) -> int:
    workload = next(w for w in workloads(overlay("cpu")) if w["metadata"]["name"] == name)
    return int(pod(workload)["terminationGracePeriodSeconds"])


@pytest.fixture
def redis_port(tmp_path: Path) -> Iterator[int]:
    """Redis with the ConfigMap and the Secret of the overlay."""
    try:
        binary = find_binary()
    except StartError as missing:
        pytest.skip(str(missing))
    (port,) = ports.free_ports(1)
    config = next(c["data"]["redis.conf"] for c in of(overlay("cpu"), "ConfigMap") if "redis.conf" in c["data"])
    (tmp_path / "data").mkdir()
    for there, here in (
        ("/run/secrets/backdrop/redis", str(tmp_path)),
        ("dir /data", f"dir {tmp_path / 'data'}"),
        ("port 6379", f"port {port}"),
        ("bind 0.0.0.0 -::", f"bind {ports.HOST}"),
    ):
        assert there in config
        config = config.replace(there, here)
    (tmp_path / "redis.conf").write_text(config)
    (tmp_path / "users.acl").write_bytes(secret("users.acl"))
    assert container("redis")["args"] == ["/etc/backdrop/redis.conf"]
    process, log = run([binary, str(tmp_path / "redis.conf")], tmp_path)
    try:
        wait(lambda: ports.answers(port, b"PING\r\n", b"+PONG"), process, log)
        yield port
    finally:
        process.kill()
        process.wait()


def secret(key: str) -> bytes:
    manifest = next(s for s in of(overlay("cpu"), "Secret") if s["metadata"]["name"].startswith("redis-auth"))
    return base64.b64decode(manifest["data"][key])


def test_redis_takes_its_files_and_knows_who_may_what(redis_port: int) -> None:
    nobody = redis.Redis(port=redis_port, protocol=2, driver_info=None)
    assert nobody.ping()
    with pytest.raises(redis.exceptions.NoPermissionError):
        nobody.get("x")
    user, _, host = settings(overlay("cpu"))["BACKDROP_REDIS_URL"].removeprefix("redis://").partition("@")
    assert host == "redis.backdrop:6379/0", "the namespace is that of the pod"
    ours = redis.Redis(
        port=redis_port, username=user, password=secret("password").decode(), protocol=2, driver_info=None
    )
    assert ours.set("x", b"1", px=60_000)
    assert ours.exists("x")
    assert ours.get("x") == b"1"
    with pytest.raises(redis.exceptions.NoPermissionError):
        ours.flushall()
    assert nobody.ping(), "a probe needs no password"


def test_the_orchestrators_scripts_may_run(redis_port: int) -> None:
    user, password = "orchestrator", secret("password").decode()
    heard: list[str] = []

    async def use() -> None:
        url = f"redis://{user}:{password}@127.0.0.1:{redis_port}/0"
        tier = RedisTier(url, timeout_s=1.0, report=heard.append)
        await tier.unserved()
        results = ResultStore(tier, memory_bytes=0, redis_bytes=60, namespace="t", report=heard.append)
        for name in ("one", "two"):
            await until_stored(results.put(name, b"value", 60, "tenant"))
        assert [await results.get(name) for name in ("one", "two")] == [None, b"value"]
        (await Leases(tier).hold("name", "note", lambda holder: None)).release()
        await tier.close()

    asyncio.run(use())
    assert "redis_refused" not in heard


def test_other_pods_are_not_refused_by_protected_mode() -> None:
    # Protected mode exempts loopback, which the test above uses, but not a pod's address.
    config = next(c["data"]["redis.conf"] for c in of(overlay("cpu"), "ConfigMap") if "redis.conf" in c["data"])
    assert "protected-mode no" in config.splitlines()


def test_the_store_steps_take_their_arguments(tmp_path: Path) -> None:
    source = tmp_path / "opt"
    source.mkdir()
    write(source, document(source))

    def here(spec: Manifest) -> list[str]:
        assert shlex.join(spec["command"]) == "python -m orchestrator.repository.store"
        mapped = (argument.replace("/store", str(tmp_path)) for argument in spec["args"])
        return [str(source) if argument == "/repository" else argument for argument in mapped]

    assert store.main(here(container("publish-models"))) == 0
    assert store.main(here(container("triton", kind="initContainers"))) == 0

"""Small model repositories, and a launcher that serves them: what the tests of the local cluster start."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import onnx
from onnx import TensorProto, helper

ROOT = Path(__file__).resolve().parents[2]
CONFIG = """\
name: "double"
backend: "onnxruntime"
max_batch_size: 8
input [ { name: "x" data_type: TYPE_FP32 dims: [ 3 ] } ]
output [ { name: "y" data_type: TYPE_FP32 dims: [ 3 ] } ]
dynamic_batching { }
instance_group [ { kind: KIND_CPU count: 1 } ]
"""
START_S = 240.0
GONE_S = 30.0
"""No process and no shared memory of the cluster exists so long after its launcher died."""
PRODUCT = ROOT / "examples" / "product.png"
FAST = "backdrop-fast"


def write_repository(folder: Path, config: str = CONFIG, width: int = 3) -> Path:
    """Writes a repository whose only model returns x + x of [width]."""
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node("Add", ["x", "x"], ["y"])],
            "double",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", width])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", width])],
        ),
        opset_imports=[helper.make_opsetid("", 20)],
        ir_version=10,
    )
    (folder / "double" / "1").mkdir(parents=True)
    onnx.save(model, folder / "double" / "1" / "model.onnx")
    (folder / "double" / "config.pbtxt").write_text(config.replace("[ 3 ]", f"[ {width} ]"))
    (folder / "pipeline.json").write_text(json.dumps({"format": 1, "pipelines": {}, "models": {}}))
    return folder


def write_fast_repository(folder: Path) -> Path:
    """Copies the reference repository with one pipeline alone, `FAST`, so that several Tritons fit into memory."""
    document = json.loads((ROOT / "triton_repo" / "pipeline.json").read_text())
    pipeline = document["pipelines"][FAST]
    document["pipelines"], document["default"] = {FAST: pipeline}, FAST
    document["models"] = {name: document["models"][name] for name in pipeline["components"].values()}
    for name in document["models"]:
        shutil.copytree(ROOT / "triton_repo" / name, folder / name)
    (folder / "pipeline.json").write_text(json.dumps(document))
    return folder


def launch(*arguments: str, stderr: int | IO[str] = subprocess.PIPE) -> subprocess.Popen[str]:
    """Starts `python -m local`."""
    command = [sys.executable, "-m", "local", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=stderr, text=True)


@contextmanager
def launched(
    repository: Path, folder: Path, *arguments: str, stderr: int | IO[str] = subprocess.PIPE
) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A launcher that has reported ready, and its state file; stopped at the end if it still runs."""
    state = folder / "state.json"
    common = ["--repository", str(repository), "--only", "redis,triton", "--log-dir", str(folder / "logs")]
    process = launch(*common, "--state-file", str(state), *arguments, stderr=stderr)
    try:
        deadline = time.monotonic() + START_S
        while not state.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                raise AssertionError(process.communicate())
            time.sleep(0.05)
        yield process, json.loads(state.read_text())
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=GONE_S)


def family(root: int) -> set[int]:
    """The pids below `root`, itself included."""
    from local.guard import descendants

    return {root, *descendants(root)}


def leftovers(pids: set[int], launcher: int) -> list[str]:
    """Which of these processes are alive, and which shared memory of this launcher exists."""
    alive = [str(pid) for pid in pids if running(pid)]
    return alive + [region.name for region in Path("/dev/shm").glob(f"backdrop_{launcher}_*")]


def running(pid: int) -> bool:
    """Whether a process exists and is more than an exit code that nobody has collected."""
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_gone(pids: set[int], launcher: int) -> None:
    """Waits until `leftovers` is empty."""
    started = time.monotonic()
    while leftovers(pids, launcher):
        assert time.monotonic() - started < GONE_S, leftovers(pids, launcher)
        time.sleep(0.05)


def wait_ended(pids: set[int]) -> None:
    """Waits until these processes have ended, whatever else runs."""
    wait_gone(pids, -1)

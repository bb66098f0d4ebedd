"""Triton for one machine: the wheel's tritonserver with its Python backend and our onnxruntime backend."""

from __future__ import annotations

import importlib.util
import os
import re
import secrets
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path

from local.errors import StartError
from local.health import serving
from local.ports import HOST
from local.supervisor import Service

BACKENDS = Path(__file__).with_name("backends")
EXIT_TIMEOUT_S = 8
ERROR_LINE = re.compile(r"error:|E\d{4} (?!.*CudaDriverHelper)")
"""How the log lines begin that say why Triton stopped; lines about a missing GPU do not."""


def find_wheel() -> Path:
    """The `tritonserver` folder of the nvidia-pytriton wheel, which is not imported: that takes a second.

    Raises:
        StartError: if it is not installed, or has no Python stub for this Python.
    """
    wheel = importlib.util.find_spec("pytriton")
    for location in (wheel.submodule_search_locations or []) if wheel else []:
        folder = Path(location) / "tritonserver"
        if not (folder / "bin" / "tritonserver").is_file():
            continue
        if not stub(folder).is_file():
            raise StartError(f"The installed nvidia-pytriton has no stub for Python {python_version()}; use 3.11.")
        return folder
    raise StartError("No tritonserver: install nvidia-pytriton with `pip install -e '.[local]'`.")


def python_version() -> str:
    """The version of this Python, as the wheel's folders are named."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def stub(wheel: Path) -> Path:
    """The wheel's program that runs Python models with this version of Python."""
    return wheel / "python_backend_stubs" / python_version() / "triton_python_backend_stub"


def prepare_backends(wheel: Path, backends: Path) -> None:
    """Fills a backend folder: the wheel's Python backend with its stub, and the backends of `local/backends`.

    Files are copied, because Triton refuses a backend whose library is a link out of its folder.
    """
    python = backends / "python"
    python.mkdir(parents=True)
    for name in ("libtriton_python.so", "triton_python_backend_utils.py"):
        shutil.copy2(wheel / "backends" / "python" / name, python)
    shutil.copy2(stub(wheel), python)
    for backend in BACKENDS.iterdir():
        if (backend / "model.py").is_file():
            (backends / backend.name).mkdir()
            for module in backend.glob("*.py"):
                shutil.copy2(module, backends / backend.name)


def environment(wheel: Path) -> dict[str, str]:
    """Variables by which the server and its stubs find Python's library and the interpreter with our packages."""
    libraries = [str(sysconfig.get_config_var("LIBDIR")), str(wheel.parents[1] / "nvidia_pytriton.libs")]
    if os.environ.get("LD_LIBRARY_PATH"):
        libraries.append(os.environ["LD_LIBRARY_PATH"])
    interpreters = [str(Path(sys.prefix) / "bin"), os.environ.get("PATH", os.defpath)]
    return {
        "LD_LIBRARY_PATH": os.pathsep.join(libraries),
        # The stub takes its packages from the first python3 on PATH and ignores PYTHONPATH.
        "PATH": os.pathsep.join(interpreters),
    }


def check_repository(repository: Path) -> None:
    """Checks that a folder is a model repository.

    Raises:
        StartError: if it does not exist or has no pipeline.json.
    """
    if not (repository / "pipeline.json").is_file():
        raise StartError(
            f"{repository} is no model repository: it has no pipeline.json. Make one with `python -m export`."
        )


def trace_options(otlp_endpoint: str) -> tuple[str, ...]:
    """Options that make Triton send spans to a collector: one for a request's time in the queue, one for its compute.

    Triton continues the caller's trace. Of requests without a trace it records one in a thousand.
    """
    if not otlp_endpoint:
        return ()
    return (
        "--trace-config=mode=opentelemetry",
        f"--trace-config=opentelemetry,url={otlp_endpoint.rstrip('/')}/v1/traces",
        "--trace-config=level=TIMESTAMPS",
        "--trace-config=rate=1000",
    )


def service(
    name: str,
    repository: Path,
    port: int,
    metrics_port: int,
    log_folder: Path,
    *,
    nice: int = 0,
    otlp_endpoint: str = "",
) -> Service:
    """A Triton on loopback that serves every model of the repository by gRPC; `nice` is its weight (`Service.nice`).

    Raises:
        StartError: if the wheel is missing, or `repository` is not a model repository.
    """
    check_repository(repository)
    wheel = find_wheel()
    work = Path(tempfile.mkdtemp(prefix="backdrop-triton-"))
    prefix = f"backdrop_{os.getpid()}_{secrets.token_hex(4)}_"
    command = (
        str(wheel / "bin" / "tritonserver"),
        f"--model-repository={repository.resolve()}",
        f"--backend-directory={work / 'backends'}",
        "--model-control-mode=none",
        # The configs are complete; guessing would start every stub twice.
        "--disable-auto-complete-config",
        "--allow-http=false",
        f"--grpc-address={HOST}",
        f"--grpc-port={port}",
        f"--metrics-address={HOST}",
        f"--metrics-port={metrics_port}",
        "--allow-gpu-metrics=false",
        f"--exit-timeout-secs={EXIT_TIMEOUT_S}",
        f"--backend-config=python,shm-region-prefix-name={prefix}",
        *trace_options(otlp_endpoint),
    )
    return Service(
        name=name,
        command=command,
        endpoint=f"{HOST}:{port}",
        log=log_folder / f"{name}.log",
        ready=lambda: serving(f"{HOST}:{port}"),
        prepare=lambda: prepare_backends(wheel, work / "backends"),
        environment=environment(wheel),
        working_folder=work,
        start_timeout_s=240.0,
        grace_s=EXIT_TIMEOUT_S + 4.0,
        nice=nice,
        shm_prefix=prefix,
        remove=(work,),
        error_line=ERROR_LINE,
    )

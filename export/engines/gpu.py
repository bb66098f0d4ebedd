"""The GPU of this node, as far as an engine depends on it: nvidia-smi's answers."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass

from export.errors import ExportError

_QUERY = ("nvidia-smi", "--query-gpu=name,compute_cap,driver_version", "--format=csv,noheader")
_LIST = ("nvidia-smi", "-L")
# A line under the GPU's own: "  MIG 3g.40gb     Device  0: (UUID: MIG-…)".
_SLICE = re.compile(r"^\s+MIG\s+(\S+)\s+Device", re.MULTILINE)


@dataclass(frozen=True)
class Gpu:
    """A GPU, or a MIG slice of one."""

    model: str
    """Name and slice as a part of a path, such as NVIDIA-H100-80GB-HBM3 or NVIDIA-H100-80GB-HBM3-MIG-3g.40gb."""
    compute_capability: str
    """Such as 9.0."""
    driver: str
    """The branch of the driver, such as 580."""


def local_gpu() -> Gpu:
    """The first GPU of the node, or the pod's slice of it.

    L4 and L40S, or H100 and H200, have one compute capability, and different memory and numbers of multiprocessors;
    a slice has a part of them. TensorRT chooses kernels by these.

    Raises:
        ExportError: if there is none.
    """
    name, capability, driver = (part.strip() for part in _ask(_QUERY).splitlines()[0].split(","))
    slices = _SLICE.findall(_ask(_LIST))
    model = f"{name} MIG {slices[0]}" if slices else name
    return Gpu(re.sub(r"[^\w.]+", "-", model), capability, driver.partition(".")[0])


def _ask(command: tuple[str, ...]) -> str:
    try:
        completed = subprocess.run(  # noqa: S603 — a fixed command
            command, capture_output=True, text=True, check=True, timeout=30
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ExportError(
            "tensorrt builds engines on the GPU that they run on, and nvidia-smi finds none here."
        ) from error
    if not completed.stdout.strip():
        raise ExportError(f"{' '.join(command)} says nothing: does this container have a GPU?")
    return completed.stdout

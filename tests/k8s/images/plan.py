"""Our images: the file and stage that each comes from, and why one of them cannot be built here."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from os import geteuid
from pathlib import Path

from k8s.release import NAMES
from tests.k8s.dockerfiles import Stage, parse
from tests.k8s.rendering import K8S, ROOT

PROGRAMS = ("buildah", "debootstrap", "runc")
PYTHON = re.compile(r"python:3\.11-slim\b")
"""Bases that Debian's Python 3.11 stands in for: the wheels of the locks are for that version."""


@dataclass(frozen=True)
class Image:
    """One image.

    Attributes:
        name: as in the manifests.
        file: its Dockerfile.
        target: its stage; empty for the only one.
    """

    name: str
    file: Path
    target: str

    @property
    def stages(self) -> list[Stage]:
        """All stages of its file, in order."""
        return parse(self.file)

    @property
    def bases(self) -> list[str]:
        """The images of others that its file begins with."""
        stages = self.stages
        return sorted({stage.base for stage in stages} - {stage.name for stage in stages})


def images() -> list[Image]:
    """Every image that a release names."""
    folder = K8S / "images"
    stages = {stage.name: file for file in sorted(folder.glob("*.Dockerfile")) for stage in parse(file)}
    return [
        Image(name, stages[name], name) if name in stages else Image(name, folder / f"{name}.Dockerfile", "")
        for name in NAMES
    ]


def obstacle(image: Image) -> str:
    """Why an image cannot be built on this machine; empty if it can."""
    foreign = [base.partition("@")[0].rpartition("/")[2] for base in image.bases if not PYTHON.match(base)]
    copies = [rest for stage in image.stages for name, rest in stage.steps if name == "COPY" and "--from" not in rest]
    sources = [word for rest in copies for word in rest.split()[:-1] if not word.startswith("--")]
    absent = [source for source in sources if not (ROOT / source).exists()]
    reasons = [f"its base {base} has more than a Python and is in a registry" for base in foreign]
    return "; ".join([*reasons, *(f"the checkout has no {source}" for source in absent)])


def missing() -> str:
    """What this machine lacks to build and run images, and the fix; empty if it lacks nothing."""
    absent = [program for program in PROGRAMS if shutil.which(program) is None]
    if absent:
        return f"no {', '.join(absent)} here: run `apt-get install {' '.join(absent)}`"
    return "" if geteuid() == 0 else "building images needs root: mounts and users of containers"

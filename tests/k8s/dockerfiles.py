"""Dockerfiles as steps, and a replay of them in a folder: copies, commands, environment, entry point.

No container engine is needed; `tests/k8s/images/` builds them with one. `/opt/backdrop` and the other paths that steps
write to are mapped into the folder, and the base's Python is this environment's. Users and read-only roots are not
imitated.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.k8s.rendering import ROOT

IGNORED = shutil.ignore_patterns("__pycache__")


@dataclass(frozen=True)
class Stage:
    """One FROM and the instructions after it, as (name, arguments)."""

    base: str
    name: str
    steps: tuple[tuple[str, str], ...]


def parse(file: Path) -> list[Stage]:
    """The stages of a Dockerfile, in order."""
    text = re.sub(r"^#.*\n", "", file.read_text(), flags=re.M).replace("\\\n", " ")
    steps = [line.strip().split(None, 1) for line in text.splitlines() if line.strip()]
    stages: list[Stage] = []
    for name, rest in steps:
        if name == "FROM":
            base, _, alias = rest.partition(" AS ")
            stages.append(Stage(base, alias or "image", ()))
        else:
            last = stages.pop()
            stages.append(Stage(last.base, last.name, (*last.steps, (name, re.sub(r"\s+", " ", rest)))))
    return stages


@dataclass
class Replayed:
    """A stage after its steps."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    entry: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)

    def here(self, text: str) -> str:
        """Replaces the image's absolute paths in a text by paths in the folder."""
        return re.sub(r"(?<![\w.)}/])/(opt/backdrop|repository|requirements)(?=[\w./: ]|$)", rf"{self.root}/\1", text)

    def run(self, arguments: list[str] | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
        """Runs the entry point, with the image's own command or another, without this environment's variables."""
        command = [*self.entry, *(self.command if arguments is None else arguments)]
        assert command[0] == "python"
        command = [sys.executable, *(self.here(argument) for argument in command[1:])]
        ours = {"PATH": os.defpath, **self.environment, **environment}
        # -S: the image has none of this environment's packages, only what is in its PYTHONPATH.
        return subprocess.run(
            [command[0], "-S", *command[1:]], env=ours, cwd=self.root, capture_output=True, text=True, check=False
        )


def replay(stages: list[Stage], folder: Path, missing: tuple[str, ...] = ()) -> dict[str, Replayed]:
    """Runs the steps of every stage in order.

    Args:
        stages: of one Dockerfile.
        folder: holds the root folders of the stages.
        missing: sources that a checkout does not have; steps that name them are skipped.
    """
    made: dict[str, Replayed] = {}
    for stage in stages:
        current = made[stage.name] = Replayed(folder / stage.name)
        current.root.mkdir(parents=True)
        if stage.base in made:
            before = made[stage.base]
            shutil.copytree(before.root, current.root, dirs_exist_ok=True, symlinks=True)
            current.environment = {
                key: value.replace(str(before.root), str(current.root)) for key, value in before.environment.items()
            }
            current.entry, current.command = before.entry, before.command
        for name, rest in stage.steps:
            if not any(source in rest for source in missing):
                _step(name, rest, current, made)
    return made


def _step(name: str, rest: str, stage: Replayed, made: dict[str, Replayed]) -> None:
    if name == "COPY":
        words = rest.split()
        source = ROOT
        if words[0].startswith("--from="):
            source = made[words.pop(0).removeprefix("--from=")].root
        words = [word for word in words if not word.startswith("--chown=")]
        *files, target = words
        for file in files:
            _copy(source / file.lstrip("/"), stage.root / target.lstrip("/"), into=target.endswith("/"))
    elif name == "RUN":
        _run(rest, stage)
    elif name == "ENV":
        for key, value in re.findall(r"(\w+)=(\S+)", rest):
            stage.environment[key] = stage.here(value.replace("${PATH}", os.defpath))
    elif name in ("ENTRYPOINT", "CMD"):
        setattr(stage, "entry" if name == "ENTRYPOINT" else "command", json.loads(rest))
    else:
        assert name in ("WORKDIR", "USER", "EXPOSE", "HEALTHCHECK"), f"the replay knows no {name}"


def _copy(source: Path, target: Path, *, into: bool) -> None:
    assert source.exists(), f"{source} is not in the checkout"
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=IGNORED, dirs_exist_ok=True)
    elif into:
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)
    else:
        shutil.copy2(source, target)


def _run(command: str, stage: Replayed) -> None:
    command = stage.here(command)
    command = re.sub(r"\bpython3?\b(?= -m)", sys.executable, command)
    run = subprocess.run(
        ["/bin/sh", "-ec", command], cwd=stage.root, env={**os.environ, **stage.environment}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, f"{command}\n{run.stderr}"

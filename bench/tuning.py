"""Configs to try: how a model is served, and a copy of the repository that serves it so."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Config:
    """How Triton serves a model.

    Attributes:
        instances: copies that run side by side.
        threads: of each copy, for a row that is alone.
        row_workers: into how many parts a copy cuts a batch, to run them side by side; our own backend's alone.
        max_batch: most rows in an execution.
        delay_us: how long rows wait for company, in microseconds.
    """

    instances: int = 1
    threads: int = 2
    row_workers: int = 1
    max_batch: int = 8
    delay_us: int = 0

    def __str__(self) -> str:
        copies = f"{self.instances} × {self.threads} threads × {self.row_workers} row workers"
        return f"{copies}, cap {self.max_batch}, delay {self.delay_us} µs"


def configured(text: str, config: Config) -> str:
    """A config.pbtxt with these values instead of its own.

    Raises:
        ValueError: a value has no place in it.
    """
    for pattern, value in (
        (r"(max_batch_size: )\d+()", config.max_batch),
        (r"(max_queue_delay_microseconds: )\d+()", config.delay_us),
        (r"(instance_group \[ \{ kind: KIND_CPU count: )\d+( \} \])", config.instances),
    ):
        text, count = re.subn(pattern, rf"\g<1>{value}\g<2>", text)
        if count != 1:
            raise ValueError(f"the config has no place for {pattern}")
    text = re.sub(r'parameters \{ key: "(intra_op_threads|row_workers)".*\n', "", text)
    given = {"intra_op_threads": config.threads, "row_workers": config.row_workers}
    return text + "".join(
        f'parameters {{ key: "{key}" value: {{ string_value: "{value}" }} }}\n' for key, value in given.items()
    )


def read(text: str) -> Config:
    """What a config.pbtxt says; parameters that it has not are 1, as the backend takes them."""

    def number(pattern: str, default: int) -> int:
        found = re.search(pattern, text)
        return int(found[1]) if found else default

    return Config(
        instances=number(r"kind: KIND_CPU count: (\d+)", 1),
        threads=number(r'"intra_op_threads" value: \{ string_value: "(\d+)"', 1),
        row_workers=number(r'"row_workers" value: \{ string_value: "(\d+)"', 1),
        max_batch=number(r"max_batch_size: (\d+)", 1),
        delay_us=number(r"max_queue_delay_microseconds: (\d+)", 0),
    )


def write_repository(real: Path, folder: Path, configs: Mapping[str, Config], only: bool = False) -> Path:
    """Copies a repository with some models configured anew, and returns the copy.

    Args:
        real: what is copied.
        folder: where to; must not be there.
        configs: by model.
        only: leave out the models that are not in `configs`; then it is for Triton alone, not for an orchestrator.
    """
    document = json.loads((real / "pipeline.json").read_text())
    for name, entry in document["models"].items():
        if only and name not in configs:
            continue
        shutil.copytree(real / name, folder / name)
        if name in configs:
            file = folder / name / "config.pbtxt"
            file.write_text(configured(file.read_text(), configs[name]))
            entry["files"]["config.pbtxt"] = f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"
    (folder / "pipeline.json").write_text(json.dumps(document))
    return folder

"""Rounds of a measurement: kept in a file after each, continued by a later run, begun anew when the settings change.

The load on a shared machine changes within minutes. So every round runs all arms one after another, ratios are computed
within a round, and a figure is their median.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import TypeAdapter

from bench.figures import ROOT, Origin, commit, machine

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

R = TypeVar("R", bound="DataclassInstance")
RESULTS = ROOT / "bench" / "results"
_PACKAGES = ("grpcio", "numpy", "nvidia-pytriton", "onnxruntime", "torch", "diffusers", "tritonclient")


class Rounds(Generic[R]):
    """The rounds of one measurement, in a JSON file.

    Args:
        name: the measurement's.
        settings: of the measurement; rounds with other settings, or from another machine, are dropped.
        kind: the rounds' dataclass.
        folder: where the file is.
    """

    def __init__(self, name: str, settings: DataclassInstance, kind: type[R], folder: Path = RESULTS) -> None:
        self._file = folder / f"{name}.json"
        # As JSON has it: tuples are lists there, and keys are strings.
        self.settings: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(settings)))
        self._head = {"name": name, "machine": machine(), "settings": self.settings}
        self._lines: list[dict[str, Any]] = []
        self.done: list[R] = []
        if self._file.exists():
            document = json.loads(self._file.read_text())
            if all(document.get(key) == value for key, value in self._head.items()):
                self._lines = document["rounds"]
                self.done = _read(document, kind)

    def clear(self) -> None:
        """Forgets the rounds so far."""
        self._lines, self.done = [], []

    def add(self, measured: R) -> None:
        """Keeps a round, with the commit at which it was measured."""
        self.done.append(measured)
        self._lines.append({"commit": commit(), **dataclasses.asdict(measured)})
        # A round is a line, so that a new round is one more line in a diff.
        lines = ",\n  ".join(json.dumps(one, ensure_ascii=False) for one in self._lines)
        head = json.dumps({**self._head, "versions": versions()}, indent=1, ensure_ascii=False).removesuffix("\n}")
        self._file.parent.mkdir(parents=True, exist_ok=True)
        partial = self._file.with_suffix(".partial")
        partial.write_text(f'{head},\n "rounds": [\n  {lines}\n ]\n}}\n')
        partial.replace(self._file)


def load(name: str, kind: type[R], folder: Path = RESULTS) -> list[R]:
    """The rounds of a measurement as they were last kept, whatever their settings; empty if there are none."""
    file = folder / f"{name}.json"
    return _read(json.loads(file.read_text()), kind) if file.exists() else []


def origin(name: str, folder: Path = RESULTS) -> Origin:
    """The machine of a measurement's rounds, and the commit of the last one."""
    document = json.loads((folder / f"{name}.json").read_text())
    return Origin(document["rounds"][-1]["commit"], document["machine"])


def _read(document: dict[str, Any], kind: type[R]) -> list[R]:
    adapter = TypeAdapter(kind)
    return [
        adapter.validate_python({key: value for key, value in line.items() if key != "commit"})
        for line in document["rounds"]
    ]


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """One value over another, round by round."""
    return [over / under for over, under in zip(above, below, strict=True)]


def versions() -> dict[str, str]:
    """Versions of the packages on which times depend."""
    result = {}
    for package in _PACKAGES:
        try:
            result[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return result

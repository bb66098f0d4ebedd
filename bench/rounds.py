"""Results that are gathered in rounds: kept after each, gone on with later, begun anew when what is measured changes.

A machine that others use is never the same for long. So every round runs all arms one after another, ratios are made
within a round, and the figure is their median.
"""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.figures import ROOT, commit, machine

RESULTS = ROOT / "bench" / "results"
_PACKAGES = ("grpcio", "numpy", "nvidia-pytriton", "onnxruntime", "torch", "diffusers", "tritonclient")
Round = Mapping[str, Any]


class Rounds:
    """The rounds of one measurement, in a JSON file.

    Args:
        name: the measurement's.
        settings: what was measured; rounds of other settings, or of another machine, are dropped.
        folder: where the file is.
    """

    def __init__(self, name: str, settings: Mapping[str, Any], folder: Path = RESULTS) -> None:
        self._file = folder / f"{name}.json"
        self._head = {"name": name, "machine": machine(), "settings": dict(settings)}
        self.done: list[Round] = []
        if self._file.exists():
            found = json.loads(self._file.read_text())
            if all(found.get(key) == value for key, value in self._head.items()):
                self.done = found["rounds"]

    def clear(self) -> None:
        """Forgets the rounds so far."""
        self.done = []

    def add(self, measured: Round) -> None:
        """Keeps a round, with the commit at which it was measured."""
        self.done.append({"commit": commit(), **measured})
        # A round is a line: thousands of latencies are nothing to scroll through, and a new round is one more line.
        lines = ",\n  ".join(json.dumps(one, ensure_ascii=False) for one in self.done)
        head = json.dumps({**self._head, "versions": versions()}, indent=1, ensure_ascii=False).removesuffix("\n}")
        self._file.parent.mkdir(parents=True, exist_ok=True)
        partial = self._file.with_suffix(".partial")
        partial.write_text(f'{head},\n "rounds": [\n  {lines}\n ]\n}}\n')
        partial.replace(self._file)


def load(name: str, folder: Path = RESULTS) -> list[Round]:
    """The rounds of a measurement as they were last kept, whatever their settings; none if there are none."""
    file = folder / f"{name}.json"
    rounds: list[Round] = json.loads(file.read_text())["rounds"] if file.exists() else []
    return rounds


def values(rounds: Sequence[Round], *keys: str) -> list[float]:
    """One value of each round, by the keys that lead to it."""
    found: list[Any] = list(rounds)
    for key in keys:
        found = [inner[key] for inner in found]
    return [float(value) for value in found]


def ratios(rounds: Sequence[Round], above: Sequence[str], below: Sequence[str]) -> list[float]:
    """One value over another, round by round; each by its keys."""
    return [over / under for over, under in zip(values(rounds, *above), values(rounds, *below), strict=True)]


def versions() -> dict[str, str]:
    """Of the packages that matter to the time."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found

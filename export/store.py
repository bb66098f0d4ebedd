"""The work folder: graphs and comparisons of earlier exports, under digests of what they were made from.

An entry's name is a digest of everything that decides its bytes: weights, config, precision, the code that traces, and
the libraries that it calls. So nothing has to be declared stale, and what has not changed is never built again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from export.contract import Contract, Size
from export.files import digest, partial
from export.layout import Source
from export.precision import Precision, Storage
from export.report import ComponentReport, DiskSizes, TraceCost

DEFAULT = Path(".backdrop") / "export"
ROOM = Path(__file__).parent
TRACING = (
    "models",
    "networks",
    "adapters.py",
    "contract.py",
    "external.py",
    "graph.py",
    "lowering.py",
    "quantising.py",
    "stored_files.py",
    "tracing.py",
)
"""The code that decides what is in a graph."""
COMPARING = ("parity.py", "running.py", "widening.py")
LIBRARIES = ("torch", "diffusers", "transformers", "onnx", "onnxscript")
FACTS = "facts.json"


def sha256(value: Any) -> str:
    """sha256 of JSON-ready values, as hex."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


@cache
def code(names: tuple[str, ...]) -> str:
    """The version of some of the export's code: a digest of its text."""
    files = [file for name in names for file in ([ROOM / name] if name.endswith(".py") else (ROOM / name).glob("*.py"))]
    return sha256({file.relative_to(ROOM).as_posix(): digest(file) for file in files})


@cache
def weights_digest(path: Path, size: int, changed_ns: int) -> str:
    """The digest of a weights file as it is now: a run asks for it several times, and it may be gigabytes."""
    return digest(path)


def key(
    source: Source,
    precision: Precision,
    bank: Any = None,
    calibration: str | None = None,
    storage: Storage = "source",
) -> str:
    """What identifies a component's graph.

    Args:
        source: Its folder. Weights count by content: a retraining changes them, moving the folder does not.
        precision: Of its arithmetic.
        bank: The layout of its bank of adapters, as JSON-ready values, if it has one.
        calibration: The rehearsal that its scales come from, if it has any.
        storage: Of its weights.
    """
    # The path that a config records does not change the network.
    config = {name: value for name, value in source.config.items() if name != "_name_or_path"}
    return sha256(
        {
            "component": source.kind.name,
            "config": config,
            "weights": {
                name: weights_digest(path, path.stat().st_size, path.stat().st_mtime_ns)
                for name, path in source.files.items()
            },
            "image_tokens": source.adapter and source.adapter.tokens,
            "last_states": source.last_states,
            "unnormalised": source.unnormalised,
            "preprocess": source.preprocess and asdict(source.preprocess),
            "without_text": source.without_text,
            "precision": precision,
            "storage": storage,
            "bank": bank,
            "calibration": calibration,
            "code": code(TRACING),
            "libraries": {name: metadata.version(name) for name in LIBRARIES},
        }
    )


@dataclass(frozen=True)
class StoredGraph:
    """A graph of an earlier export, with the weights beside it."""

    folder: Path
    contract: Contract
    parameters: int
    """How many numbers the network has."""
    disk: DiskSizes
    cost: TraceCost
    """What making it took."""

    @property
    def version(self) -> Path:
        """The folder to copy into a repository."""
        return self.folder / "graph"

    def report(
        self, model: str, sizes: Sequence[Size], batches: Sequence[int], conditioning: str | None = None
    ) -> ComponentReport | None:
        """The comparison at these sizes and numbers of rows, and on these real inputs, if it was made before."""
        try:
            path = self._report(sizes, batches, conditioning)
            return ComponentReport.from_json(json.loads(path.read_text()), model)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def keep_report(
        self, report: ComponentReport, sizes: Sequence[Size], batches: Sequence[int], conditioning: str | None = None
    ) -> None:
        """Keeps a comparison."""
        write_whole(self._report(sizes, batches, conditioning), report.to_json())

    def _report(self, sizes: Sequence[Size], batches: Sequence[int], conditioning: str | None) -> Path:
        cases = [[asdict(size) for size in sizes], list(batches), conditioning]
        made_with = [code(COMPARING), metadata.version("onnxruntime"), *cases]
        return self.folder / f"parity-{sha256(made_with)[:16]}.json"


class Store:
    """A work folder; several exports may use it at once."""

    def __init__(self, root: Path) -> None:
        """`root` need not exist yet."""
        self.root = root

    def find(self, name: str) -> StoredGraph | None:
        """The entry of this key, if it is there and whole; a damaged entry counts as missing."""
        folder = self.root / "graphs" / name
        try:
            facts = json.loads((folder / FACTS).read_text())
            if any(digest(folder / "graph" / file) != value for file, value in facts["files"].items()):
                return None
            contract, disk = Contract.from_json(facts["contract"]), DiskSizes(**facts["disk"])
            return StoredGraph(folder, contract, int(facts["parameters"]), disk, TraceCost(**facts["cost"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def keep(
        self, name: str, version: Path, contract: Contract, parameters: int, disk: DiskSizes, cost: TraceCost
    ) -> StoredGraph:
        """Copies a version folder into the store; a half-written entry is never seen under its name."""
        folder = self.root / "graphs" / name
        making = partial(folder)
        shutil.copytree(version, making / "graph")
        files = {file.name: digest(file) for file in sorted((making / "graph").iterdir())}
        facts = {"contract": contract.to_json(), "parameters": parameters, "disk": asdict(disk)}
        facts |= {"cost": asdict(cost), "files": files}
        write_whole(making / FACTS, facts)
        shutil.rmtree(folder, ignore_errors=True)
        making.rename(folder)
        return StoredGraph(folder, contract, parameters, disk, cost)


def write_whole(path: Path, content: Mapping[str, Any]) -> None:
    """Writes JSON that appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    making = partial(path)
    making.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    making.replace(path)

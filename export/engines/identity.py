"""An engine's identity (its graph, shapes, TensorRT and GPU), and its place in the store."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from export.engines.profiles import shape_key
from export.errors import ExportError

FACTS = "engine.json"
FILES = {"tensorrt": "model.plan", "tensorrt_rtx": "model.rtx"}
"""An engine's file by who built it: TensorRT for RTX writes another format, which no `model.plan` may be."""


@dataclass(frozen=True)
class Identity:
    """Engines with the same identity are interchangeable; one with another identity may not even load."""

    component: str
    """The model's name in the repository."""
    digest: str
    """The model's fingerprint, sha256:<hex>: graph, weights, adapters."""
    precision: str
    shapes: str
    """See `profiles.shape_key`."""
    builder: str
    """tensorrt or tensorrt_rtx."""
    version: str
    """The builder's, such as 10.13.3.9."""
    compute_capability: str
    """Of the GPU, such as 9.0; "any" for an engine that is compiled where it runs."""
    gpu: str
    """The GPU's model and MIG slice, such as NVIDIA-H100-80GB-HBM3; "any" for an engine that others may load too."""
    driver: str
    """The branch of the GPU's driver, such as 580; "any" as above."""

    @property
    def folder(self) -> Path:
        """Its place in the store."""
        mark = self.digest.removeprefix("sha256:")[:16]
        graph, builder = f"{self.precision}-{self.shapes}", f"{self.builder}-{self.version}"
        where = f"sm{self.compute_capability}-{self.gpu}-r{self.driver}"
        return Path(self.component, mark, graph, f"{builder}-{where}")

    @property
    def file(self) -> Path:
        """The engine itself."""
        return self.folder / FILES[self.builder]

    def __str__(self) -> str:
        """As it stands in a config's parameters."""
        return self.folder.as_posix()

    @classmethod
    def of(cls, model: str, entry: Mapping[str, Any], target: EngineTarget) -> Identity:
        """What the engine of a repository's model must be on a node.

        Raises:
            ExportError: if the repository was exported without engines in mind.
        """
        profiles = entry.get("profiles")
        if not profiles:
            raise ExportError(
                f"{model} has no profiles in pipeline.json: export the repository again with --target tensorrt."
            )
        return cls(
            component=model,
            digest=entry["fingerprint"],
            precision=entry.get("precision", "fp32"),
            shapes=shape_key(profiles),
            builder=target.builder,
            version=target.version,
            compute_capability=target.compute_capability,
            gpu=target.gpu,
            driver=target.driver,
        )


@dataclass(frozen=True)
class EngineTarget:
    """The builder and the GPU of an engine."""

    builder: str
    version: str
    compute_capability: str
    gpu: str = "any"
    driver: str = "any"


def facts(identity: Identity, digest: str, seconds: float) -> dict[str, Any]:
    """The content of the `engine.json` in an engine's folder."""
    return {"identity": asdict(identity), "sha256": digest, "seconds": round(seconds, 1)}


def read_facts(folder: Path) -> tuple[Identity, str]:
    """The identity of the engine in a folder of the store, and its file's sha256.

    Raises:
        ExportError: if there is none, or what stands beside it cannot be read.
    """
    try:
        content = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        return Identity(**content["identity"]), str(content["sha256"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ExportError(
            f"{folder / FACTS} is missing or damaged; delete {folder} and build the engine again."
        ) from error

"""What Triton reads on a GPU node: the repository's configs, with the store's engines where the graphs were."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from export.configs import TENSORRT
from export.engines.builds import models_of
from export.engines.identity import FILES, Identity
from export.errors import ExportError
from export.files import CONFIG, CONFIGS
from export.repository import PIPELINES


def make_view(repository: Path, store: Path, engines: Mapping[str, Identity], out: Path) -> None:
    """Writes a node's own repository: small files copied, engines linked.

    The shared repository stays as it is, so nodes with different GPUs can read it at the same time.

    Args:
        repository: The shared one.
        store: With the engines.
        engines: Those that `check_engines` found; the view has these models and no other.
        out: A folder of this node; replaced.

    Raises:
        ExportError: if an engine is one that Triton cannot serve, or `out` is no view that could be replaced.
    """
    if out.exists() and not (out / PIPELINES).is_file() and any(out.iterdir()):
        raise ExportError(f"{out} holds something else; choose an empty or new folder for the view.")
    making = out.with_name(f".{out.name}.new")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    for name, entry in models_of(repository, engines).items():
        identity = engines[name]
        if identity.builder != "tensorrt":
            raise ExportError(f"{name}: Triton serves {FILES['tensorrt']}, not {identity.file.name}.")
        folder = making / name / entry["version"]
        folder.mkdir(parents=True)
        text = (repository / name / CONFIGS / TENSORRT).read_text(encoding="utf-8")
        line = f'parameters {{ key: "engine" value: {{ string_value: {json.dumps(str(identity))} }} }}\n'
        (making / name / CONFIG).write_text(text + line, encoding="utf-8")
        (folder / FILES["tensorrt"]).symlink_to((store / identity.file).resolve())
    shutil.copyfile(repository / PIPELINES, making / PIPELINES)
    shutil.rmtree(out, ignore_errors=True)
    making.rename(out)

"""`python -m export upscaler`: published weights of an upscaler into a repository that is there already."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from export import repository
from export.errors import ExportError
from export.layout import DIFFUSERS, KINDS, Roots
from export.model_export import ModelExport
from export.options import ExportOptions
from export.plan import Model
from export.progress import Progress
from export.serving import check_repository
from export.source import check_component
from export.upscalers import read_layout

ROLE = "upscaler"


def add_upscaler(file: Path, out: Path, pipelines: Sequence[str], name: str, progress: Progress) -> list[str]:
    """Exports the upscaler and gives it to pipelines of the repository, which changes as a whole or not at all.

    Args:
        file: RRDBNet's or SRVGGNetCompact's weights.
        out: The Triton repository.
        pipelines: The pipelines that get it; none for all.
        name: The model's folder. A model of that name is replaced.
        progress: Told what is going on.

    Returns:
        What each pipeline serves then, in sentences.

    Raises:
        ExportError: if the weights are of no such network, or the repository has no such pipeline.
    """
    content = repository.read_pipelines(out)
    if not content:
        raise ExportError(f"{out} holds no repository yet: export a pipeline first.")
    chosen = list(pipelines) or list(content["pipelines"])
    for pipeline in chosen:
        if pipeline not in content["pipelines"]:
            there = ", ".join(content["pipelines"])
            raise ExportError(f"{out} has no pipeline {pipeline!r}; there are {there}.")
        content["pipelines"][pipeline]["components"][ROLE] = name
    users = {
        role for entry in content["pipelines"].values() for role, model in entry["components"].items() if model == name
    }
    if users != {ROLE}:
        raise ExportError(f"{name} is the {min(users - {ROLE})} of a pipeline: choose another --name.")
    with TemporaryDirectory() as base, repository.staged(out) as staging:
        folder = Path(base) / ROLE
        component_folder(file, folder)
        source = check_component(KINDS[ROLE], folder, Roots((folder.parent,)))
        export = ModelExport(Model(name, ROLE, source, ()), staging / name, out / name, None, None, None)
        # Two rows at most: a tile of a deep network takes seconds, and both frameworks compute every batch.
        _, entry = export.run(ExportOptions(batches=(1, 2)), progress)
        # A model that nothing uses any more is left out.
        used = {model for each in content["pipelines"].values() for model in each["components"].values()}
        for other in (set(content["models"]) & used) - {name}:
            shutil.copytree(out / other, staging / other, copy_function=_linked)
        content["models"] = {key: value for key, value in content["models"].items() if key in used} | {name: entry}
        repository.write_pipelines_file(staging, content)
        serving = check_repository(staging, out)
    return [sentence for each in serving for sentence in each.sentences]


def component_folder(file: Path, folder: Path) -> None:
    """Writes a component's folder, config and weights, of published weights.

    Raises:
        BadFolderError: if they are of no network that is known.
    """
    layout = read_layout(file)
    # Not imported above: --help should not wait for torch.
    from safetensors.torch import load_file, save_file

    folder.mkdir(parents=True)
    tensors = load_file(file)
    save_file({layout.names[key]: tensor for key, tensor in tensors.items()}, folder / DIFFUSERS)
    (folder / "config.json").write_text(json.dumps({"_class_name": layout.cls, **layout.config}, indent=2) + "\n")


def _linked(source: str, target: str) -> None:
    """A file of the repository that stays as it is: linked where that is possible, since it may hold gigabytes."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)

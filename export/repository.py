"""Pipelines of a Triton repository: `pipeline.json`, and the swap that shows a new repository."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from export.errors import ExportError
from export.files import partial
from export.plan import RepositoryPlan
from export.source import PipelineFolder
from export.task_adapters import TaskAdapters

FORMAT = 1
PIPELINES = "pipeline.json"
SIGNATURE = f"{PIPELINES}.minisig"
"""Of one `pipeline.json`: it goes when that changes."""


def pipeline_entry(plan: RepositoryPlan, folder: PipelineFolder) -> dict[str, Any]:
    """One pipeline of `pipeline.json`."""
    vae, settings = folder.sources["vae_encoder"].config, folder.settings
    return {
        "description": settings["description"],
        "components": plan.components(folder),
        "schedule": folder.schedule,
        "schedulers": list(folder.schedulers),
        "defaults": settings["defaults"],
        "latents": {
            "channels": vae["latent_channels"],
            "factor": folder.latent_factor,
            "scale": vae["scaling_factor"],
        },
        "preview": settings["preview"],
        "text": {**folder.text, "states": list(folder.states), "pooled": list(folder.pooled)},
        "buckets": settings["buckets"],
        "reward_heads": list(folder.reward_heads),
        "conventions": folder.conventions,
        "provenance": settings["provenance"],
    }


def read_pipelines(repository: Path) -> dict[str, Any]:
    """An existing repository's `pipeline.json`; empty where there is no repository yet.

    Raises:
        ExportError: if the folder holds something that is not a repository of ours: it would be replaced.
    """
    path = repository / PIPELINES
    if path.is_file():
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if content.get("format") != FORMAT:
            raise ExportError(f"{path} has the format {content.get('format')}; this export writes {FORMAT}.")
        return content
    if repository.exists() and not repository.is_dir():
        raise ExportError(f"{repository} is a file, not a folder.")
    strangers = sorted(entry.name for entry in repository.iterdir() if entry.is_dir()) if repository.exists() else []
    if strangers:
        raise ExportError(f"{repository} holds {strangers[0]}/ but no {PIPELINES}: choose an empty or new folder.")
    return {}


def write_pipelines(
    staging: Path, plan: RepositoryPlan, models: Mapping[str, Any], task_adapters: TaskAdapters
) -> None:
    """Writes `pipeline.json`, the last file of a repository."""
    content = {
        "format": FORMAT,
        "default": plan.default,
        "pipelines": {
            folder.name: pipeline_entry(plan, folder)
            | ({"task_adapters": task_adapters[folder.name]} if folder.name in task_adapters else {})
            for folder in plan.pipelines
        },
        "models": {name: models[name] for name in plan.models},
    }
    write_pipelines_file(staging, content)


def write_pipelines_file(repository: Path, content: Mapping[str, Any]) -> None:
    """Writes a repository's `pipeline.json`, whole or not at all."""
    making = partial(repository / PIPELINES)
    making.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    making.replace(repository / PIPELINES)
    (repository / SIGNATURE).unlink(missing_ok=True)


@contextmanager
def staged(repository: Path) -> Iterator[Path]:
    """Yields an empty folder beside `repository` that takes its place if the block succeeds, and vanishes if not.

    Files at the top of the old repository that are not ours (a README, say) move along.
    """
    repository.parent.mkdir(parents=True, exist_ok=True)
    staging, retired = partial(repository), partial(repository)
    staging.mkdir()
    try:
        yield staging
        if repository.exists():
            for entry in repository.iterdir():
                if entry.is_file() and entry.name != SIGNATURE and not (staging / entry.name).exists():
                    shutil.copy2(entry, staging / entry.name)
            repository.rename(retired)
        try:
            staging.rename(repository)
        except OSError:
            if retired.exists():
                retired.rename(repository)
            raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        shutil.rmtree(retired, ignore_errors=True)

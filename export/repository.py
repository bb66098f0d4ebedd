"""Triton repository entries: configs, digests, fingerprints, pipeline.json, and the swap that shows them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from export.errors import ExportError
from export.models.component import Prepared, TensorSpec
from export.plan import Plan
from export.source import PipelineFolder

FORMAT = 1
VERSION = "1"
CONFIG = "config.pbtxt"
PIPELINES = "pipeline.json"


def digest(path: Path) -> str:
    """sha256 of a file, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def model_files(folder: Path) -> dict[str, str]:
    """The sha256 of every file of a model, by its path within the folder, sorted."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): digest(path) for path in files}


def fingerprint(files: Mapping[str, str]) -> str:
    """What identifies a model: sha256 over its files' names and digests, without the config it stands in."""
    lines = "".join(f"{name} {files[name]}\n" for name in sorted(files) if name != CONFIG)
    return "sha256:" + hashlib.sha256(lines.encode()).hexdigest()


def _tensors(kind: str, specs: Iterable[TensorSpec]) -> str:
    entries = [
        f'  {{ name: "{spec.name}" data_type: TYPE_{spec.dtype} dims: [ {", ".join(map(str, spec.dims))} ] }}'
        for spec in specs
    ]
    return f"{kind} [\n" + ",\n".join(entries) + "\n]\n"


def config_text(prepared: Prepared, mark: str) -> str:
    """The model's config.pbtxt. Everything is spelt out, so Triton is started without completing configs by itself."""
    parameters = {**prepared.parameters, "fingerprint": mark}
    entries = "".join(
        f'parameters {{ key: "{key}" value: {{ string_value: "{parameters[key]}" }} }}\n' for key in sorted(parameters)
    )
    return f"""\
name: "{prepared.name}"
backend: "onnxruntime"
default_model_filename: "model.onnx"
max_batch_size: {prepared.max_batch_size}
{_tensors("input", prepared.inputs)}{_tensors("output", prepared.outputs)}\
# Waiting for company costs every step of every request; rows that arrive while a batch runs meet in the next one.
dynamic_batching {{
  max_queue_delay_microseconds: 0
  default_queue_policy {{
    timeout_action: REJECT
    max_queue_size: {prepared.max_queue_size}
  }}
}}
instance_group [ {{ kind: KIND_CPU count: 1 }} ]
{entries}"""


def finish_model(folder: Path, prepared: Prepared) -> dict[str, Any]:
    """Writes a model's config beside its files and returns its entry for `pipeline.json`."""
    (folder / CONFIG).unlink(missing_ok=True)
    mark = fingerprint(model_files(folder))
    (folder / CONFIG).write_text(config_text(prepared, mark), encoding="utf-8")

    def tensors(specs: Iterable[TensorSpec]) -> list[dict[str, Any]]:
        return [{"name": spec.name, "dtype": spec.dtype, "shape": list(spec.dims)} for spec in specs]

    return {
        "version": VERSION,
        "fingerprint": mark,
        "files": {name: f"sha256:{value}" for name, value in model_files(folder).items()},
        "inputs": tensors(prepared.inputs),
        "outputs": tensors(prepared.outputs),
    }


def pipeline_entry(plan: Plan, folder: PipelineFolder) -> dict[str, Any]:
    """One pipeline of `pipeline.json`."""
    vae, settings = folder.sources["vae_encoder"].config, folder.settings
    levels = len(vae.get("down_block_out_channels") or vae["block_out_channels"])
    return {
        "description": settings["description"],
        "components": plan.components(folder),
        "schedule": folder.schedule,
        "schedulers": list(folder.schedulers),
        "defaults": settings["defaults"],
        "latents": {
            "channels": vae["latent_channels"],
            "factor": 2 ** (levels - 1),
            "scale": vae["scaling_factor"],
        },
        "preview": settings["preview"],
        "text": folder.text,
        "buckets": settings["buckets"],
        "reward_heads": settings["reward_heads"],
        "provenance": settings["provenance"],
    }


def read_pipelines(repository: Path) -> dict[str, Any]:
    """An existing repository's `pipeline.json`; empty where there is no repository yet.

    Raises:
        ExportError: if the folder holds something that is not a repository of ours: it would be replaced.
    """
    path = repository / PIPELINES
    if path.is_file():
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if found.get("format") != FORMAT:
            raise ExportError(f"{path} has the format {found.get('format')}; this export writes {FORMAT}.")
        return found
    if repository.exists() and not repository.is_dir():
        raise ExportError(f"{repository} is a file, not a folder.")
    strangers = sorted(entry.name for entry in repository.iterdir() if entry.is_dir()) if repository.exists() else []
    if strangers:
        raise ExportError(f"{repository} holds {strangers[0]}/ but no {PIPELINES}: choose an empty or new folder.")
    return {}


def write_pipelines(staging: Path, plan: Plan, models: Mapping[str, Any]) -> None:
    """Writes `pipeline.json`, the last file of a repository."""
    content = {
        "format": FORMAT,
        "default": plan.default,
        "pipelines": {folder.name: pipeline_entry(plan, folder) for folder in plan.pipelines},
        "models": {name: models[name] for name in plan.models},
    }
    (staging / PIPELINES).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


@contextmanager
def staged(repository: Path) -> Iterator[Path]:
    """Yields an empty folder beside `repository` that takes its place if the block succeeds, and vanishes if not.

    Files at the top of the old repository that are not ours (a README, say) move along.
    """
    repository.parent.mkdir(parents=True, exist_ok=True)
    staging = repository.with_name(f".{repository.name}.new-{os.getpid()}")
    retired = repository.with_name(f".{repository.name}.old-{os.getpid()}")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    try:
        yield staging
        if repository.exists():
            for entry in repository.iterdir():
                if entry.is_file() and not (staging / entry.name).exists():
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

"""Reads a model repository's `pipeline.json`, and checks its files against their digests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backdrop.contract.geometry import Size
from orchestrator.repository.conventions import Conventions
from orchestrator.repository.document import expect_types
from orchestrator.repository.roles import read_roles
from orchestrator.repository.spec import (
    FORMAT,
    PIPELINES,
    T5,
    TEXT_ROLES,
    AdapterSpec,
    ModelSpec,
    PipelineSpec,
    Repository,
    RepositoryError,
)
from orchestrator.sampler import read_schedule, solvers_of
from orchestrator.triton.tensors import TensorSpec


def load(path: Path, *, verify_files: bool = True) -> Repository:
    """Reads `path`/pipeline.json and checks every listed file's sha256.

    Raises:
        RepositoryError: a file is missing or has another digest, a key is missing, or a role has no model.
    """
    file = path / PIPELINES
    try:
        document = json.loads(file.read_text())
    except FileNotFoundError:
        raise RepositoryError(f"{file} is not there; is BACKDROP_REPOSITORY the triton_repo folder?") from None
    except OSError as problem:
        raise RepositoryError(f"{file} cannot be read: {problem.strerror}") from None
    except (ValueError, RecursionError) as problem:
        raise RepositoryError(f"{file} is not JSON: {problem}") from None
    repository = read(document, path)
    if verify_files:
        _verify(path, {name: entry["files"] for name, entry in document["models"].items()})
    return repository


def read(document: Mapping[str, Any], path: Path) -> Repository:
    """A repository from the content of its pipeline.json; `path` is the folder that the file lies in.

    Raises:
        RepositoryError: a key is missing, a role has no model, or models do not fit each other.
    """
    file = path / PIPELINES
    if not isinstance(document, Mapping):
        raise RepositoryError(f"{file} is not a JSON object")
    if document.get("format") != FORMAT:
        raise RepositoryError(f"{file} has format {document.get('format')!r}; this orchestrator reads {FORMAT}")
    try:
        expect_types(document)
        models = {name: _model(name, value) for name, value in document["models"].items()}
        pipelines = {name: _pipeline(name, value, models) for name, value in document["pipelines"].items()}
        default = document["default"]
        pipelines[default]
    except KeyError as problem:
        raise RepositoryError(f"{file} lacks {problem}") from None
    except (TypeError, ValueError) as problem:
        raise RepositoryError(f"{file}: {problem}") from None
    return Repository(path, pipelines, default)


def _model(name: str, value: Mapping[str, Any]) -> ModelSpec:
    def tensors(key: str) -> tuple[TensorSpec, ...]:
        return tuple(TensorSpec(t["name"], t["dtype"], tuple(t["shape"])) for t in value[key])

    names = value.get("adapters", {}).get("names", {})
    spec = ModelSpec(
        name=name,
        version=str(value["version"]),
        fingerprint=value["fingerprint"],
        files=value["files"],
        inputs=tensors("inputs"),
        outputs=tensors("outputs"),
        adapters={adapter: AdapterSpec(int(entry["row"]), entry["digest"]) for adapter, entry in names.items()},
    )
    if spec.adapters and spec.adapter_slots < 1:
        raise ValueError(f"model {name} has adapters, but no input adapter with a fixed number of slots")
    return spec


def _pipeline(name: str, value: Mapping[str, Any], models: Mapping[str, ModelSpec]) -> PipelineSpec:
    try:
        roles = read_roles(value, models)
    except ValueError as problem:
        raise ValueError(f"pipeline {name}: {problem}") from None
    defaults, latents, preview = value["defaults"], value["latents"], value["preview"]
    max_tokens = {
        role: value["text"]["t5_max_tokens" if role == T5 else "max_tokens"]
        for role in TEXT_ROLES
        if role in roles.models
    }
    spec = PipelineSpec(
        name=name,
        description=value["description"],
        models=roles.models,
        schedule=read_schedule(value["schedule"]),
        schedulers=tuple(value["schedulers"]),
        default_scheduler=defaults["scheduler"],
        default_steps=defaults["steps"],
        default_guidance_scale=defaults["guidance_scale"],
        default_image_scale=defaults.get("image_scale", 1.0),
        latent_channels=latents["channels"],
        latent_factor=latents["factor"],
        preview_factors=tuple(tuple(row) for row in preview["factors"]),
        preview_bias=tuple(preview["bias"]),
        max_tokens=max_tokens,
        states_roles=roles.states,
        pooled_roles=roles.pooled,
        buckets=tuple(Size(width, height) for height, width in value["buckets"]),
        reward_heads=_reward_heads(name, value, roles.models),
        conventions=Conventions.from_json(value.get("conventions", {})),
        task_adapters=value.get("task_adapters", {}),
    )
    _expect_task_adapters(spec)
    if len(spec.preview_factors) != spec.latent_channels:
        raise ValueError(
            f"pipeline {name} has {spec.latent_channels} latent channels, and preview.factors for "
            f"{len(spec.preview_factors)}"
        )
    if spec.default_scheduler not in spec.schedulers:
        raise ValueError(f"pipeline {name} defaults to {spec.default_scheduler}, which is not among its schedulers")
    for scheduler in spec.schedulers:
        if scheduler not in solvers_of(spec.schedule):
            known = ", ".join(solvers_of(spec.schedule))
            raise ValueError(f"pipeline {name} offers {scheduler}; for its schedule there are {known}")
    return spec


def _reward_heads(name: str, value: Mapping[str, Any], roles: Mapping[str, ModelSpec]) -> tuple[str, ...]:
    """The names of the reward model's scores; empty without a reward model."""
    if "reward" not in roles:
        return ()
    heads, shape = tuple(value["reward_heads"]), roles["reward"].shape("scores")
    if not heads or (shape is not None and shape != (len(heads),)):
        raise ValueError(f"pipeline {name} names {len(heads)} reward_heads, {roles['reward'].name} has {shape}")
    return heads


def _verify(path: Path, models: Mapping[str, Mapping[str, str]]) -> None:
    """Compares files with their digests, by model and name; those of models that no pipeline uses too."""
    for model, files in models.items():
        for name, digest in files.items():
            file = path / model / name
            try:
                with file.open("rb") as stream:
                    digest_here = "sha256:" + hashlib.file_digest(stream, "sha256").hexdigest()
            except FileNotFoundError:
                raise RepositoryError(f"{file} is not there") from None
            if digest_here != digest:
                raise RepositoryError(f"{file} has {digest_here}, pipeline.json says {digest}")


def _expect_task_adapters(spec: PipelineSpec) -> None:
    for task, weights in spec.task_adapters.items():
        unknown = sorted(set(weights) - set(spec.adapters))
        if unknown:
            raise ValueError(f"pipeline {spec.name}: {task} has the adapter {unknown[0]}, which is not in the bank")
        if len(weights) > spec.adapter_slots:
            raise ValueError(f"pipeline {spec.name}: {task} has more adapters than the {spec.adapter_slots} of a row")

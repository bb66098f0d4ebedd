"""Reads a model repository's `pipeline.json`, and checks its files against their digests."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import structlog

from backdrop.contract.geometry import Size
from orchestrator.repository import published
from orchestrator.repository.conventions import Conventions
from orchestrator.repository.document import expect_types
from orchestrator.repository.roles import read_roles
from orchestrator.repository.signed import PublicKeys, expect_listed, read_signature
from orchestrator.repository.spec import (
    FORMAT,
    PIPELINES,
    T5,
    TEXT_ROLES,
    TOKENIZER,
    AdapterSpec,
    ModelSpec,
    PipelineSpec,
    Repository,
    RepositoryError,
)
from orchestrator.sampler import read_schedule, solvers_of
from orchestrator.triton.tensors import TensorSpec

log = structlog.get_logger("orchestrator.repository")
_LOOK_EVERY_S = 1.0

Verification = Literal["mark", "digests", "nothing"]
"""What of a repository's files is checked: all of them by their sha256; in a published one, by its mark; or nothing."""


def load(path: Path, *, verify: Verification = "mark", keys: PublicKeys | None = None) -> Repository:
    """Reads `path`/pipeline.json and checks the listed files.

    Args:
        verify: "mark" trusts the mark of a published repository, and reads every file of one without a mark.
        keys: Whose signatures of pipeline.json are taken; None to ask for none.

    Raises:
        RepositoryError: a file is missing or has another digest, a key is missing, or a role has no model; or the
            signature is not one of `keys`, or a folder has a file that is not listed.
    """
    file, signature = path / PIPELINES, ""
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        raise RepositoryError(f"{file} is not there; is BACKDROP_REPOSITORY the triton_repo folder?") from None
    except OSError as problem:
        raise RepositoryError(f"{file} cannot be read: {problem.strerror}") from None
    if keys is not None:
        signature = keys.expect_signed(content, read_signature(path), str(path))
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as problem:
        raise RepositoryError(f"{file} is not JSON: {problem}") from None
    repository = dataclasses.replace(read(document, path), signature=signature)
    if keys is not None:
        expect_listed(path, document)
    files = published.files_of(document)
    if verify == "mark" and published.is_published(path):
        published.expect_published(path, files)
        if keys is not None:
            published.expect_digests(path, _read_here(files))
    elif verify != "nothing":
        published.expect_digests(path, files)
    return repository


def _read_here(files: published.Files) -> published.Files:
    """The files that the orchestrator itself reads. A mark is not signed, so it does not vouch for them."""
    return {model: {TOKENIZER: names[TOKENIZER]} for model, names in files.items() if TOKENIZER in names}


async def load_published(path: Path, wait_s: float, keys: PublicKeys | None = None) -> Repository:
    """Loads a repository as soon as its folder is there: a publisher gives it its name when it is whole.

    Raises:
        RepositoryError: it is not there after `wait_s`, or as for `load`.
    """
    deadline, said = time.monotonic() + wait_s, False
    while True:
        # In a thread: a network volume may answer slowly, or not at all.
        there = await asyncio.to_thread(path.exists)
        if there or time.monotonic() >= deadline:
            return await asyncio.to_thread(load, path, keys=keys)
        if not said:
            log.warning("not ready", why=f"{path / PIPELINES} is not there yet")
        said = True
        await asyncio.sleep(_LOOK_EVERY_S)


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


def _expect_task_adapters(spec: PipelineSpec) -> None:
    for task, weights in spec.task_adapters.items():
        unknown = sorted(set(weights) - set(spec.adapters))
        if unknown:
            raise ValueError(f"pipeline {spec.name}: {task} has the adapter {unknown[0]}, which is not in the bank")
        if len(weights) > spec.adapter_slots:
            raise ValueError(f"pipeline {spec.name}: {task} has more adapters than the {spec.adapter_slots} of a row")

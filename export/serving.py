"""What the orchestrator says of a repository, or of a folder that is not exported yet: its own checks, no copies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export.errors import ExportError
from export.plan import Model, RepositoryPlan
from export.repository import FORMAT, pipeline_entry
from export.upscalers import geometry
from orchestrator import repository
from orchestrator.repository import PipelineSpec, Repository, RepositoryError
from orchestrator.repository.tokenize import PromptTokenizers
from orchestrator.tasks import ALL
from orchestrator.tasks.serving import why_not


@dataclass(frozen=True)
class Serving:
    """What a pipeline serves."""

    pipeline: str
    tasks: tuple[str, ...]
    refused: Mapping[str, str]
    """The other tasks, with what the pipeline lacks for each."""
    lacks: tuple[str, ...]
    """What it does without, one sentence each."""

    @property
    def sentences(self) -> list[str]:
        """All of it, one sentence a line."""
        first = f"{self.pipeline} serves {', '.join(self.tasks) or 'no task'}."
        others = [f"  It does not serve {task}: {reason}" for task, reason in self.refused.items()]
        return [first, *others, *(f"  {sentence}" for sentence in self.lacks)]


def check_repository(folder: Path, name: Path | None = None) -> tuple[Serving, ...]:
    """Loads a repository as the orchestrator does when it starts. Digests are not compared with the files.

    Args:
        folder: The repository.
        name: What messages call it; None for `folder`.

    Raises:
        ExportError: if the orchestrator would not start with it, with its own reason.
    """
    try:
        loaded = repository.load(folder, verify="nothing")
        PromptTokenizers(loaded)
    except RepositoryError as error:
        reason = str(error).replace(str(folder), str(name or folder))
        raise ExportError(f"The orchestrator would refuse this repository: {reason}") from None
    return serving_of(loaded)


def expected_serving(plan: RepositoryPlan) -> tuple[Serving, ...]:
    """The same of a repository that was not exported yet, from the folders' configs.

    Raises:
        ExportError: if the orchestrator would not start with it.
    """
    content = {
        "format": FORMAT,
        "default": plan.default,
        "pipelines": {folder.name: pipeline_entry(plan, folder) for folder in plan.pipelines},
        "models": {name: expected_entry(model) for name, model in plan.models.items()},
    }
    try:
        return serving_of(repository.read(content, Path(plan.default)))
    except RepositoryError as error:
        raise ExportError(f"The orchestrator would refuse its repository: {error}") from None


def serving_of(loaded: Repository) -> tuple[Serving, ...]:
    """What each pipeline serves."""
    return tuple(pipeline_serving(spec) for spec in loaded.pipelines.values())


def pipeline_serving(spec: PipelineSpec) -> Serving:
    """What one pipeline serves."""
    reasons = {name: why_not(spec, task) for name, task in ALL.items()}
    lacks = []
    if not spec.scores:
        lacks.append(
            "It has no reward model, so pictures come unscored, in the order of their variants: --reward FOLDER."
        )
    if not spec.segments:
        lacks.append("It has no segmenter, so a product needs a mask or an alpha channel: --segmenter FOLDER.")
    if spec.upscaler is None:
        lacks.append("It has no upscaler, so scenes are enlarged by resampling: --upscaler FOLDER.")
    return Serving(
        pipeline=spec.name,
        tasks=tuple(name for name, reason in reasons.items() if reason is None),
        refused={name: reason for name, reason in reasons.items() if reason is not None},
        lacks=tuple(lacks),
    )


def expected_entry(model: Model) -> dict[str, Any]:
    """The part of a model's entry in `pipeline.json` that follows from its config: the names of its tensors."""
    inputs, outputs = TENSORS.get(model.role, ((), ()))
    source, config, (folder, *_) = model.source, model.source.config, model.pipelines
    shapes: dict[str, tuple[int, ...]] = {}
    if model.role == "denoiser":
        inputs = denoiser_inputs(model)
        if source.adapter is not None:
            shapes["image_tokens"] = (source.adapter.tokens, int(config["cross_attention_dim"]))
    if model.role in folder.pooled:
        outputs = (*outputs, "text_embeds")
    if model.role == "upscaler":
        tile, factor = geometry(config)
        shapes |= {"image": (3, tile, tile), "upscaled": (3, factor * tile, factor * tile)}
    if model.role == "reward" and not source.without_text:
        inputs = (*inputs, "text_embeds")
    if model.role == "image_projector" and "image_encoder_uve" in folder.sources:
        inputs = (*inputs, "uve")
    return {
        "version": "1",
        "fingerprint": "",
        "files": {},
        "inputs": expected_tensors(inputs, shapes),
        "outputs": expected_tensors(outputs, shapes | {"scores": (len(folder.reward_heads),)}),
    }


TEXT = (("input_ids",), ("hidden_states",))
TENSORS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "text_encoder_l": TEXT,
    "text_encoder_g": TEXT,
    "text_encoder_t5": TEXT,
    "image_projector": (("clip",), ("image_tokens",)),
    "reward": (("image", "mask"), ("scores",)),
    "upscaler": (("image",), ("upscaled",)),
}
"""Inputs and outputs that the orchestrator's checks ask for, where they do not depend on the config."""


def denoiser_inputs(model: Model) -> tuple[str, ...]:
    """The names of a denoiser's inputs, in the order of its graph."""
    folder, config = model.pipelines[0], model.source.config
    latents = int(folder.sources["vae_encoder"].config["latent_channels"])
    inpaints = config["in_channels"] != latents
    return (
        "sample",
        *(("mask", "masked_image_latents") if inpaints else ()),
        "timestep",
        "encoder_hidden_states",
        *(("text_embeds",) if folder.pooled else ()),
        *(("time_ids",) if config.get("addition_embed_type") == "text_time" else ()),
        *(("image_tokens", "image_scale") if model.source.adapter is not None else ()),
    )


def expected_tensors(names: Sequence[str], shapes: Mapping[str, tuple[int, ...]]) -> list[dict[str, Any]]:
    """Entries of tensors; a shape that is not needed is left open."""
    return [{"name": name, "dtype": "FP32", "shape": list(shapes.get(name, (-1,)))} for name in names]

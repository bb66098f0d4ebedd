"""A survey of a pipeline folder: its components, the models they become, its problems. Loads no weights."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from export import tokenizer
from export.errors import BadFolderError, ExportError
from export.judges import Judges
from export.keys.check import undecided
from export.layout import IMAGE_ROLES, KINDS, Roots, Source, class_named
from export.own_adapters import with_own
from export.pipeline_classes import read_index
from export.plan import RepositoryPlan, plan_repository
from export.precision import Precisions
from export.serving import Serving, expected_serving
from export.settings import own_settings
from export.source import PipelineFolder, check_component, open_folder, shared_folder
from export.tensor_files import extents
from export.weight_files import component_folders, files_problems

if TYPE_CHECKING:
    from export.adapters import AdapterSelection


@dataclass(frozen=True)
class Part:
    """One component of a folder."""

    model: str
    """What it would be called in a repository of this folder alone."""
    folder: str
    cls: str
    parameters: int
    stored: str
    """The dtypes of most of its numbers, as safetensors names them."""
    size: int
    """Bytes of its weights files."""
    precision: str


@dataclass(frozen=True)
class Survey:
    """The result of surveying a folder."""

    title: str
    parts: tuple[Part, ...]
    notes: tuple[str, ...]
    problems: tuple[str, ...]
    """One sentence each; with none, the folder can be exported."""
    serving: Serving | None = None
    """What the orchestrator would do with it; None where it cannot be exported."""


def survey(
    path: Path,
    precisions: Precisions,
    target: str,
    judges: Judges | None = None,
    variant: str | None = None,
    scheduler: str | None = None,
) -> Survey:
    """Surveys a folder. Problems are returned, not raised, and all of them."""
    problems = part_problems(path, variant)
    try:
        folder = open_folder(path, judges, variant, scheduler)
    except BadFolderError as error:
        # The problems of the parts say it already.
        whole = () if problems else (str(error),)
        return Survey(f"{path.resolve().name}: cannot be exported", (), (), (*problems, *whole))
    plan = plan_repository([folder])
    models, serving = plan.models, None
    try:
        precisions.expect(models)
        (serving,) = expected_serving(plan)
    except ExportError as error:
        problems.append(str(error))
    problems += tokenizer_problems(plan)
    parts = tuple(part(name, model.source, precisions.of(name)) for name, model in models.items())
    served = "a graph for onnxruntime" if target == "onnxruntime" else "a graph, of which the GPU node builds an engine"
    title = f"{folder.name}: {family(folder)}; every line becomes {served}"
    return Survey(title, parts, tuple(notes(folder)), tuple(problems), serving)


def part_problems(path: Path, variant: str | None) -> list[str]:
    """What is wrong with single components, each looked at by itself."""
    try:
        roots = Roots((path, *shared_folder(path, own_settings(path))), variant)
    except BadFolderError as error:
        return [str(error)]
    incomplete = files_problems(component_folders(path), variant)
    problems = [problem.sentence for problem in incomplete]
    told = {folder for problem in incomplete for folder in problem.folders}
    for kind in KINDS.values():
        folders = [other for other in KINDS.values() if other.folder == kind.folder]
        # Two halves of one folder would say the same.
        if kind is not folders[0] or not (path / kind.folder).is_dir() or kind.folder in told:
            continue
        try:
            check_component(kind, path / kind.folder, roots)
        except BadFolderError as error:
            problems.append(str(error))
    return list(dict.fromkeys(problems))


def tokenizer_problems(plan: RepositoryPlan) -> list[str]:
    """What is wrong with the tokenizers: each is converted as the export converts it, which takes milliseconds."""
    problems = []
    with TemporaryDirectory() as folder:
        for model in plan.models.values():
            source = model.source
            if source.tokenizer is None:
                continue
            try:
                tokenizer.convert(source.tokenizer, source.config, model.prompt_tokens, Path(folder) / "tokenizer.json")
            except BadFolderError as error:
                problems.append(str(error))
    return problems


def part(name: str, source: Source, precision: str) -> Part:
    """A component's line."""
    tensors = [extent for path in source.files.values() for extent in extents(path)]
    counts: Counter[str] = Counter()
    for extent in tensors:
        counts[extent.dtype] += prod(extent.shape)
    return Part(
        model=name,
        folder=f"{source.folder.parent.resolve().name}/{source.folder.name}",
        cls=class_named(source.config),
        parameters=sum(counts.values()),
        stored=", ".join(dtype for dtype, _ in counts.most_common(2)),
        size=sum(path.stat().st_size for path in source.files.values()),
        precision=precision,
    )


def family(folder: PipelineFolder) -> str:
    """What kind of pipeline it is, in words."""
    denoiser = folder.sources["denoiser"]
    channels = folder.sources["vae_encoder"].config["latent_channels"]
    task = "inpainting" if denoiser.config["in_channels"] != channels else "text to image"
    if denoiser.kind.name == "denoiser_dit":
        name = "Stable Diffusion 3" if "text_encoder_l" in folder.sources else "transformer with T5"
    else:
        name = "SDXL" if "text_encoder_g" in folder.sources else "Stable Diffusion"
    style = ", IP-Adapter" if denoiser.adapter is not None else ""
    defaults, conventions = folder.settings["defaults"], folder.conventions
    return (
        f"{name}, {task}{style}; buckets {folder.settings['buckets']}; by default {defaults['scheduler']}, "
        f"{defaults['steps']} steps, guidance {defaults['guidance_scale']}; latent mask {conventions['latent_mask']}, "
        f"empty negative prompt {conventions['empty_negative']}"
    )


def notes(folder: PipelineFolder) -> list[str]:
    """What a user should know although it is not a problem."""
    sentences = [*folder.schedule_notes, *undecided(folder.sources, folder.path)]
    index = read_index(folder.path)
    if index.get("requires_safety_checker") or index.get("safety_checker") not in (None, [None, None]):
        sentences.append(f"{folder.name} asks for a safety checker, which is not served: pictures are not checked.")
    if folder.sources["denoiser"].adapter is None and any((folder.path / role).is_dir() for role in IMAGE_ROLES):
        sentences.append(f"{folder.name} has image encoders but no ip_adapter/: they are left out.")
    reward = folder.sources.get("reward")
    if reward is not None and reward.without_text:
        sentences.append(
            f"{folder.name}: the reward model reads prompts of width {reward.config.get('text_dim')}, which this "
            f"pipeline does not have; it is exported without them, with the heads {', '.join(folder.reward_heads)}."
        )
    return sentences


def survey_adapters(pipelines: Sequence[Path], selection: AdapterSelection | None) -> Iterator[tuple[str, str]]:
    """Surveys adapters: a sentence on each, and what is wrong with it, of which one is empty. Reads their tensors."""
    folders = {path.resolve().name: path for path in pipelines}
    opened: dict[str, PipelineFolder] = {}
    for name, path in folders.items():
        with contextlib.suppress(ExportError):  # the survey of the folder has told it
            opened[name] = open_folder(path)
    chosen = with_own(selection, list(opened.values()), next(iter(folders)))
    if chosen is None:
        return
    # Not imported at the top: it brings torch, and a survey of folders should not wait for torch.
    from export.adapters import layer_shapes
    from export.lora_files import read_lora

    for ref in chosen.adapters:
        name = ref.pipeline or next(iter(folders))
        try:
            if name not in folders:
                raise ExportError(f"There is no pipeline {name!r} for the adapter {ref.name}.")
            shapes = layer_shapes((opened.get(name) or open_folder(folders[name])).sources["denoiser"])
            lora = read_lora(ref.path, shapes, allow_partial=chosen.allow_partial)
        except ExportError as error:
            yield "", str(error)
            continue
        yield f"adapter {ref.name} of {name}: {lora.description}", ""

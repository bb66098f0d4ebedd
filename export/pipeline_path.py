"""What people give as a pipeline's folder and is none: each is refused with what to do instead."""

from __future__ import annotations

import re
from pathlib import Path

from export import single_file
from export.errors import BadFolderError
from export.layout import KINDS
from export.reading import expect_path
from export.settings import NAME
from export.tensor_files import PICKLES
from export.weight_files import SUFFIX, listed

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
HUB_URL = re.compile(r"https?:/+(?:www\.)?(?:huggingface\.co|hf\.co)/([\w.-]+/[\w.-]+).*")
"""`Path` makes one slash of two."""
MODEL_INDEX = "model_index.json"
DEPTH = 3
"""How far below a folder a pipeline is looked for: the hub's cache has it at `snapshots/<commit>`."""
PARTS = frozenset(kind.folder for kind in KINDS.values())


def expect_pipeline(path: Path) -> None:
    """Refuses what is no pipeline folder at all; what one lacks is told later.

    Raises:
        BadFolderError: saying what it is, and what to give or do instead.
    """
    expect_path(path)
    if path.is_dir():
        if not is_pipeline(path):
            raise BadFolderError(explain_folder(path))
    else:
        raise BadFolderError(explain_file(path) if path.is_file() else explain_name(path))


def is_pipeline(path: Path) -> bool:
    """Whether a folder has something of a pipeline in it, whatever it lacks."""
    return (path / MODEL_INDEX).is_file() or (path / NAME).is_file() or any((path / part).is_dir() for part in PARTS)


def explain_name(path: Path) -> str:
    """What is wrong with a name that is neither a file nor a folder."""
    url = HUB_URL.fullmatch(str(path))
    name = url[1] if url else str(path)
    # The first half of a hub id is an account; where there is a folder of that name, a path was meant.
    if url or (HUB_ID.fullmatch(name) and not path.parent.is_dir()):
        folder = name.rpartition("/")[2]
        return (
            f"{name} is not a folder. If it is a repository of the Hugging Face hub, download it first: "
            f'`hf download {name} --local-dir {folder} --include "*.json" --include "*/*"`, '
            f"then give --pipeline {folder}."
        )
    return f"{path} is not a folder."


def explain_file(path: Path) -> str:
    """What is wrong with a file."""
    if path.suffix in PICKLES:
        return (
            f"{path.name} is a pickle, which can run code when it is read, so it is not opened. Take the safetensors "
            f"version of the model; most publishers offer one."
        )
    if path.suffix != SUFFIX:
        return f"{path} is a file, not a diffusers folder."
    kind = single_file.kind_of(path)
    if kind == "checkpoint":
        return f"{path.name} is a whole checkpoint in one file. Convert it first: {single_file.how_to_convert(path)}"
    if kind == "lora":
        return f"{path.name} is a LoRA: give it as --adapter NAME={path}, and the pipeline it is for as --pipeline."
    return f"{path.name} holds the weights of one component; give the folder of the whole pipeline."


def explain_folder(path: Path) -> str:
    """What is wrong with a folder that has nothing of a pipeline in it."""
    files = sorted(entry for entry in path.iterdir() if entry.is_file())
    names = {file.name for file in files}
    if "adapter_config.json" in names:
        return (
            f"{path.name}/ is a peft adapter: give it as --adapter NAME={path}, and the pipeline it is for "
            f"as --pipeline."
        )
    if path.resolve().name in PARTS and is_pipeline(path.resolve().parent):
        return f"{path.name}/ is one component of a pipeline: give the folder above it, {path.resolve().parent}."
    if inside := pipelines_below(path):
        some = listed([str(folder) for folder in inside[:3]])
        return (
            f"{path} is no pipeline's folder, but {some} {'is' if len(inside) == 1 else 'are'}: give --pipeline that."
        )
    checkpoint = next((file for file in files if file.suffix in (SUFFIX, *PICKLES)), None)
    if checkpoint is not None:
        return f"{path.name}/ is no diffusers folder. {explain_file(checkpoint)}"
    return f"{path} is no diffusers folder: it has no {MODEL_INDEX}, and no unet/ or transformer/."


def pipelines_below(path: Path) -> list[Path]:
    """The pipeline folders inside a folder, the nearest first."""
    level = [path]
    for _ in range(DEPTH):
        level = [entry for folder in level for entry in sorted(folder.iterdir()) if entry.is_dir()]
        if result := [folder for folder in level if is_pipeline(folder)]:
            return result
    return []

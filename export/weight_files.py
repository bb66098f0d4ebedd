"""Which safetensors files of a component's folder hold its weights: one file, shards, or those of a variant."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from export import ip_adapters
from export.errors import BadFolderError
from export.layout import IMAGE_ROLES, KINDS
from export.reading import read_json
from export.tensor_files import PICKLES

SUFFIX = ".safetensors"
LONGEST_NAME = 255
"""Bytes of a file's name; no file system of Linux takes more."""
IMAGE_FOLDERS = frozenset(KINDS[role].folder for role in IMAGE_ROLES)


def weight_files(folder: Path, name: str, variant: str | None = None) -> tuple[Path, ...]:
    """The safetensors files of a component.

    A component without files of the variant falls back to its plain files, as in diffusers' pipelines: publishers
    leave the variant out where it would be the same file.

    Args:
        folder: The component's.
        name: What the plain file is called; shards have an index of the same name.
        variant: What was asked for, such as `fp16`; None for the plain files.

    Raises:
        BadFolderError: if there are none, or an index points elsewhere.
    """
    files = files_of(folder, name, variant) or files_of(folder, name, None)
    if not files:
        raise BadFolderError(files_problems([(folder, name)], configs=False)[0].sentence)
    return files


def files_of(folder: Path, name: str, variant: str | None) -> tuple[Path, ...]:
    """The files of exactly this variant, None for the plain ones; empty if there are none.

    Raises:
        BadFolderError: if an index points elsewhere.
    """
    stem = name.removesuffix(SUFFIX)
    single = name if variant is None else f"{stem}.{variant}{SUFFIX}"
    # transformers and today's diffusers write the second spelling of a variant's index, diffusers once wrote the first.
    indexes = [f"{single}.index.json"] if variant is None else [f"{single}.index.json", f"{name}.index.{variant}.json"]
    if (folder / single).is_file():
        return (folder / single,)
    index = next((folder / name for name in indexes if (folder / name).is_file()), None)
    return () if index is None else shards(index)


def shards(index: Path) -> tuple[Path, ...]:
    """The files that an index lists; they need not exist.

    Raises:
        BadFolderError: if the index lists none, or files outside its folder.
    """
    weight_map = read_json(index).get("weight_map")
    names = {str(name)[:LONGEST_NAME] for name in weight_map.values()} if isinstance(weight_map, dict) else set()
    if not names:
        raise BadFolderError(f"{index.parent.name}/{index.name} lists no files: it has no weight_map.")
    if (other := next((name for name in sorted(names) if not name.endswith(SUFFIX)), None)) is not None:
        raise BadFolderError(f"{index.parent.name}/{index.name} lists {other[:60]!r}, which is no safetensors file.")
    if any(Path(name).name != name for name in names):
        raise BadFolderError(f"{index.parent.name}/{index.name} points outside its folder.")
    return tuple(sorted(index.parent / name for name in names))


def variants(folder: Path, name: str) -> dict[str, str]:
    """The variants of which a folder has weights, with the name of one file of each."""
    stem = re.escape(name.removesuffix(SUFFIX))
    spellings = (
        rf"{stem}\.(?P<variant>[\w-]+?)(-\d+-of-\d+)?\.safetensors(\.index\.json)?",
        rf"{re.escape(name)}\.index\.(?P<variant>[\w-]+)\.json",
    )
    result: dict[str, str] = {}
    for path in sorted(folder.iterdir()):
        for spelling in spellings:
            if match := re.fullmatch(spelling, path.name):
                result.setdefault(match["variant"], path.name)
    return result


@dataclass(frozen=True)
class FilesProblem:
    """Why the files of some components cannot be read."""

    folders: tuple[str, ...]
    """Those of the components."""
    sentence: str


def expect_files(path: Path, variant: str | None) -> None:
    """Refuses a pipeline's folder whose components lack files, or of which none has the variant.

    Raises:
        BadFolderError: naming all files that are missing, or the variants that there are.
    """
    present = sorted({name for folder, weights in component_folders(path) for name in variants(folder, weights)})
    if variant is not None and variant not in present:
        others = f"there is {listed(present)}" if present else "its weights have no variants"
        raise BadFolderError(f"{path.resolve().name}/ has no weights of the variant {variant!r}: {others}.")
    for problem in files_problems(component_folders(path), variant):
        raise BadFolderError(problem.sentence)


def component_folders(path: Path) -> list[tuple[Path, str]]:
    """The component folders that a pipeline's folder has, and what their plain weights are called."""
    names = {kind.folder: kind.weights for kind in KINDS.values()}
    if not (path / ip_adapters.FOLDER).is_dir():
        # Nothing reads image encoders without an IP-Adapter, so nothing is missing in their folders.
        names = {folder: weights for folder, weights in names.items() if folder not in IMAGE_FOLDERS}
    return [(path / folder, weights) for folder, weights in names.items() if (path / folder).is_dir()]


def files_problems(
    components: Iterable[tuple[Path, str]], variant: str | None = None, *, configs: bool = True
) -> list[FilesProblem]:
    """What is missing among components' files: one sentence for each kind of problem, not one for each file.

    Args:
        components: Folders, and what their plain weights are called.
        variant: The variant that was asked for.
        configs: Whether each folder needs a config.json.
    """
    missing: list[tuple[Path, str]] = []
    pickles: dict[Path, str] = {}
    only: dict[tuple[str, ...], dict[Path, str]] = {}
    for folder, name in components:
        if configs and not (folder / "config.json").is_file():
            missing.append((folder, "config.json"))
        try:
            files = files_of(folder, name, variant) or files_of(folder, name, None)
        except BadFolderError:
            continue  # an index that cannot be used: whoever opens the component tells
        missing += [(folder, file.name) for file in files if not file.exists()]
        if files:
            continue
        others = variants(folder, name)
        pickle = next((entry.name for entry in sorted(folder.iterdir()) if entry.suffix in PICKLES), None)
        if others:
            only.setdefault(tuple(others), {})[folder] = next(iter(others.values()))
        elif pickle is not None:
            pickles[folder] = pickle
        else:
            missing.append((folder, name))
    problems = [_only_variants(names, files) for names, files in only.items()]
    problems += [_pickles(pickles)] if pickles else []
    return problems + ([_missing(missing)] if missing else [])


def _only_variants(names: Sequence[str], files: Mapping[Path, str]) -> FilesProblem:
    folders, example = tuple(folder.name for folder in files), next(iter(files.values()))
    places = listed([f"{folder}/" for folder in folders])
    what = f"the variant{'s' if len(names) > 1 else ''} {listed(names)} ({example})"
    verb = "hold" if len(folders) > 1 else "holds"
    return FilesProblem(folders, f"{places} {verb} only {what}: export with --variant {names[0]}.")


def _pickles(files: Mapping[Path, str]) -> FilesProblem:
    folders, example = tuple(folder.name for folder in files), next(iter(files.values()))
    places, verb = listed([f"{folder}/" for folder in folders]), "hold" if len(folders) > 1 else "holds"
    return FilesProblem(
        folders,
        f"{places} {verb} {example}, a pickle, which can run code when it is read; "
        f"save the pipeline again with safe_serialization=True.",
    )


def _missing(files: Sequence[tuple[Path, str]]) -> FilesProblem:
    names = listed([f"{folder.name}/{name}" for folder, name in files])
    folders = tuple(dict.fromkeys(folder.name for folder, _ in files))
    return FilesProblem(folders, f"{names} {'are' if len(files) > 1 else 'is'} missing.")


def listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))

"""Reward model and segmenter for pipelines that bring none: any folder's, in the form that fits the pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from export.errors import BadFolderError
from export.layout import KINDS, Source
from export.reading import expect_path, read_json
from export.settings import NAME, own_settings

Judges = Mapping[str, Path]
"""Folders to take a role of `JUDGE_ROLES` from, instead of the pipeline's own: pipelines, or single components."""


def judge_folder(role: str, path: Path) -> Path:
    """The component's own folder.

    Raises:
        BadFolderError: if `path` is neither.
    """
    expect_path(path)
    kind = KINDS[role]
    if (path / kind.folder / "config.json").is_file():
        return path / kind.folder
    if (path / "config.json").is_file() and read_json(path / "config.json").get("_class_name") in kind.classes:
        return path
    exported = (path / "config.pbtxt").is_file() or (path / "pipeline.json").is_file()
    instead = "it is a Triton repository: give the folder that it was exported from" if exported else "it has neither"
    raise BadFolderError(
        f"--{role} {path}: expected a folder with {kind.folder}/, or one whose config.json names the class "
        f"{' or '.join(kind.classes)}; {instead}, such as training/weights/backdrop of Backdrop's checkout."
    )


def reward_heads(judges: Judges, settings: Mapping[str, Any], default: list[str]) -> list[str]:
    """The names of the reward model's heads: of the folder that it comes from, else of the pipeline's settings."""
    if "reward" not in judges:
        heads: list[str] = settings.get("reward_heads", default)
        return heads
    folder = judge_folder("reward", judges["reward"])
    named = own_settings(folder if (folder / NAME).exists() else folder.parent).get("reward_heads", default)
    return list(named)


def fitted(reward: Source, pooled: int) -> Source:
    """The reward model, without its text input where that is not as wide as the pipeline's pooled embedding."""
    return reward if reward.config.get("text_dim") == pooled else replace(reward, without_text=True)

"""The adapters that a pipeline's folder itself has, by `adapters` and `task_adapters` of its `backdrop.json`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from export.errors import BadFolderError
from export.settings import NAME
from export.source import PipelineFolder
from export.task_adapters import TaskAdapters, not_sampled

if TYPE_CHECKING:
    # Not imported at run time: it brings torch, and a survey of folders should not wait for torch.
    from export.adapters import AdapterSelection


def with_own(
    selection: AdapterSelection | None, folders: Sequence[PipelineFolder], first: str
) -> AdapterSelection | None:
    """A selection with the folders' own adapters before it; one of the same pipeline and name takes their place.

    Args:
        selection: what the command line asks for; None for nothing.
        folders: the pipelines.
        first: the pipeline that gets the adapters which name none.

    Returns:
        None where there are no adapters at all.
    """
    if selection is None and not any(folder.settings["adapters"] for folder in folders):
        return None
    from export.adapters import AdapterSelection, LoraRef

    chosen = selection or AdapterSelection(())
    replaced = {(ref.pipeline or first, ref.name) for ref in chosen.adapters}
    own = [
        LoraRef(name, folder.path / path, folder.name, own=True)
        for folder in folders
        for name, path in folder.settings["adapters"].items()
        if (folder.name, name) not in replaced
    ]
    adapters = (*own, *chosen.adapters)
    return dataclasses.replace(chosen, adapters=adapters) if adapters else None


def own_task_adapters(folders: Sequence[PipelineFolder]) -> TaskAdapters:
    """The folders' own task adapters.

    Raises:
        BadFolderError: if a folder names a task that a denoiser does not sample, or an adapter that it does not have.
    """
    own = {folder.name: folder.settings["task_adapters"] for folder in folders if folder.settings["task_adapters"]}
    for folder in folders:
        for task, weights in folder.settings["task_adapters"].items():
            if (problem := not_sampled(task)) is not None:
                raise BadFolderError(f"{folder.name}/{NAME}: task_adapters has {problem}")
            if missing := [name for name in weights if name not in folder.settings["adapters"]]:
                raise BadFolderError(
                    f"{folder.name}/{NAME}: task_adapters has {missing[0]!r}, which is not among its adapters."
                )
    return own

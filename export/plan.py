"""Which models a repository gets: every component of every pipeline, once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from export.errors import BadFolderError
from export.layout import Source
from export.source import PipelineFolder


@dataclass(frozen=True)
class Model:
    """One model of the repository."""

    name: str
    role: str
    source: Source
    pipelines: tuple[PipelineFolder, ...]
    """The pipelines that use it."""

    @property
    def prompt_tokens(self) -> int:
        """The length of a prompt in tokens, of a text encoder."""
        length: int = self.pipelines[0].text["t5_max_tokens" if self.role == "text_encoder_t5" else "max_tokens"]
        return length


@dataclass(frozen=True)
class RepositoryPlan:
    """All pipelines and all models of a repository."""

    default: str
    pipelines: tuple[PipelineFolder, ...]
    models: dict[str, Model]
    """By name."""

    def components(self, pipeline: PipelineFolder) -> dict[str, str]:
        """The model in each role of a pipeline."""
        names = {(model.role, model.source.identity): model.name for model in self.models.values()}
        return {role: names[role, source.identity] for role, source in pipeline.sources.items()}


def plan_repository(pipelines: Sequence[PipelineFolder], default: str | None = None) -> RepositoryPlan:
    """Names every model: the first in a role has the role's name, another pipeline's own one that name and a suffix.

    The suffix is the pipeline's name without the first pipeline's: `backdrop-dit` beside `backdrop` brings
    `denoiser_dit`.

    Raises:
        BadFolderError: if two pipelines have the same name, or none has the default's.
    """
    names = [pipeline.name for pipeline in pipelines]
    for name in names:
        if names.count(name) > 1:
            raise BadFolderError(f"Two folders are called {name}: a pipeline's name is its folder's, so rename one.")
    if default is not None and default not in names:
        raise BadFolderError(f"There is no pipeline {default!r} to be the default; there are {', '.join(names)}.")
    models: dict[str, Model] = {}
    for pipeline in pipelines:
        suffix = re.sub(r"[^A-Za-z0-9]+", "_", pipeline.name.removeprefix(f"{names[0]}-"))
        for role, source in pipeline.sources.items():
            users = tuple(
                other
                for other in pipelines
                if role in other.sources and other.sources[role].identity == source.identity
            )
            if users[0] is not pipeline:
                continue
            name = role if role not in models else f"{role}_{suffix}"
            if name in models:
                raise BadFolderError(f"{pipeline.name} and another pipeline would both bring {name}: rename a folder.")
            models[name] = Model(name, role, source, users)
    return RepositoryPlan(default or names[0], tuple(pipelines), models)

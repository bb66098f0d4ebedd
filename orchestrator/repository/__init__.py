"""The model repository: what `pipeline.json` says of it, and the tools that publish, check and reload it."""

from orchestrator.repository.load import load
from orchestrator.repository.spec import (
    IMAGE_ROLES,
    PIPELINES,
    ROLES,
    T5,
    ModelSpec,
    PipelineSpec,
    Repository,
    RepositoryError,
    check_served,
)

__all__ = [
    "IMAGE_ROLES",
    "PIPELINES",
    "ROLES",
    "T5",
    "ModelSpec",
    "PipelineSpec",
    "Repository",
    "RepositoryError",
    "check_served",
    "load",
]

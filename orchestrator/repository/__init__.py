"""The model repository: what `pipeline.json` says of it, and the tools that publish, check and reload it."""

from orchestrator.repository.load import load, load_published, read
from orchestrator.repository.signed import PublicKeys
from orchestrator.repository.spec import (
    CORE_ROLES,
    IMAGE_ROLES,
    JUDGE_ROLES,
    PIPELINES,
    T5,
    TEXT_ROLES,
    TILE_CORE,
    TOKENIZER,
    UPSCALER,
    AdapterSpec,
    ModelSpec,
    PipelineSpec,
    Repository,
    RepositoryError,
    UpscalerSpec,
    check_served,
)

__all__ = [
    "CORE_ROLES",
    "IMAGE_ROLES",
    "JUDGE_ROLES",
    "PIPELINES",
    "T5",
    "TEXT_ROLES",
    "TILE_CORE",
    "TOKENIZER",
    "UPSCALER",
    "AdapterSpec",
    "ModelSpec",
    "PipelineSpec",
    "PublicKeys",
    "Repository",
    "RepositoryError",
    "UpscalerSpec",
    "check_served",
    "load",
    "load_published",
    "read",
]

"""What a server says about itself, as frozen dataclasses."""

from __future__ import annotations

import dataclasses

from backdrop._enums import Scheduler
from backdrop._types import Size


@dataclasses.dataclass(frozen=True)
class Model:
    """One served model."""

    role: str
    """What it does in the pipeline: "denoiser", "vae_decoder", …"""
    name: str
    version: str
    fingerprint: str
    """ "sha256:…" over its served files."""


@dataclasses.dataclass(frozen=True)
class AdapterInfo:
    """One adapter (LoRA) of a pipeline."""

    name: str
    fingerprint: str
    """ "sha256:…" of the file that it was exported from."""


@dataclasses.dataclass(frozen=True)
class TaskInfo:
    """One task that the server knows, and the fields of a request that it takes."""

    name: str
    """As in `backdrop.tasks`: "background", "text_to_image"."""
    description: str
    required_fields: tuple[str, ...]
    """Paths of fields that must be set; "a|b" = at least one of the two."""
    refused_fields: tuple[str, ...]
    """Paths of fields that it does not take."""


@dataclasses.dataclass(frozen=True)
class Pipeline:
    """One pipeline that a request may name."""

    name: str
    description: str
    scene_sizes: tuple[Size, ...]
    """Sizes at which scenes are made; other output sizes are cropped and enlarged from the nearest, or from tiles of it
    if they are more than 1.5 times as long."""
    schedulers: tuple[Scheduler, ...]
    default_scheduler: Scheduler
    default_steps: int
    default_guidance_scale: float
    max_prompt_tokens: int
    """Start and end tokens included."""
    reward_heads: tuple[str, ...]
    """Empty without a reward model: pictures then come in the order of their variants, without scores."""
    models: tuple[Model, ...]
    takes_style_images: bool
    """Whether `style_images` may be given."""
    default_image_scale: float
    """Image-token scale when style pictures come without one; 0.0 where none are taken."""
    tasks: tuple[str, ...] = ()
    """Names of the tasks that it serves."""
    has_segmenter: bool = True
    """Whether a task that cuts something out can do without a mask and without an alpha channel."""
    adapters: tuple[AdapterInfo, ...] = ()
    """Those that a request may name, by name."""
    max_adapters: int = 0
    """Most adapters of a request."""
    upscale_factors: tuple[int, ...] = ()
    """What `Upscale.factor` may be; empty without an upscaler, and then it does not serve that task."""


@dataclasses.dataclass(frozen=True)
class Limits:
    """Limits that hold for every request."""

    max_variants: int
    max_steps: int
    max_pixels: int
    """Largest sent or returned picture (width × height)."""
    max_request_bytes: int
    max_running: int
    """How many requests run at the same time."""
    max_queued: int
    """How many more may wait."""
    idempotency_ttl_s: float
    """How long a result is kept for its idempotency key."""
    max_style_images: int
    """Most style pictures a request may hold."""
    max_products: int = 1
    """Most products of a scene."""
    max_palette_colours: int = 0
    """Most colours of a palette."""
    max_layouts: int = 1
    """Most layouts of a request."""


@dataclasses.dataclass(frozen=True)
class Quota:
    """A bound of what the caller's tenant may have; a request that would exceed it is refused."""

    name: str
    """ "concurrent_requests", "row_step_megapixels_per_minute" or "stored_bytes"."""
    limit: float
    used: float
    """Now, over all servers."""


@dataclasses.dataclass(frozen=True)
class Info:
    """What a server serves."""

    server_version: str
    pipelines: tuple[Pipeline, ...]
    default_pipeline: str
    limits: Limits
    ready_replicas: int
    """Triton replicas that answer now."""
    tasks: tuple[TaskInfo, ...] = ()
    """The tasks that the server knows; `Pipeline.tasks` says which a pipeline serves."""
    quotas: tuple[Quota, ...] = ()
    """Of the caller's tenant; empty if it has none."""

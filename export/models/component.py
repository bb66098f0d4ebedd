"""What every component of a pipeline tells the exporter: tensors, wrapper module, sample inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

MAX_ROWS = 16
"""The largest batch a graph is exported for. 64 made torch.export specialise; 16 is twice what is served."""


@dataclass(frozen=True)
class Axis:
    """A dimension that varies from request to request.

    Two axes with the same `name` move together: an image of [32·height, 32·width] and its latents of
    [4·height, 4·width] share their units, so the exporter knows that one is eight times the other.
    """

    name: str
    multiple: int = 1
    low: int = 2
    high: int = 64


@dataclass(frozen=True)
class TensorSpec:
    """An input or output of a component, without the batch dimension."""

    name: str
    dtype: str
    """Triton's name: FP32 or INT64."""
    shape: tuple[int | Axis, ...]

    @property
    def dims(self) -> tuple[int, ...]:
        """The shape as Triton writes it, -1 for what varies."""
        return tuple(-1 if isinstance(size, Axis) else size for size in self.shape)


@dataclass(frozen=True)
class Size:
    """The size of a sample request: the picture in pixels, the prompt in tokens."""

    height: int
    width: int
    tokens: int


Inputs = tuple[torch.Tensor, ...]
"""A component's inputs with a batch dimension, in the order of its specs."""


@dataclass(frozen=True)
class Prepared:
    """A component that is ready to be exported."""

    name: str
    """The model's name in the repository: the component's, unless another pipeline has taken that."""
    module: nn.Module
    """Takes the inputs in order, returns a tensor or a tuple of tensors; every tensor has the batch dimension first."""
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    sample: Callable[[int, Size, torch.Generator], Inputs]
    """Plausible inputs for so many rows; the values differ from row to row."""
    max_batch_size: int = 8
    max_queue_size: int = 512
    """Requests that may wait; the next one is refused at once. A safety net: what is admitted (running requests ×
    variants) is bounded by the orchestrator, and no step of an admitted picture should ever meet this bound."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Entries for the config's `parameters`, read by the serving backend."""


@dataclass(frozen=True)
class Component:
    """One kind of pipeline folder that becomes one model of the repository."""

    name: str
    role: str
    """What it does in a pipeline. Different components may do the same: a UNet and a transformer are both denoisers."""
    folder: str
    classes: tuple[str, ...]
    """Class names, as the folder's config.json gives them, that this component knows how to export."""
    weights: str
    """The safetensors file; sharded weights have an index of the same name."""
    load: Callable[[Source], nn.Module]
    prepare: Callable[[Any], Prepared]
    tokenizer: str | None = None
    """The tokenizer folder that belongs to it, for text encoders."""
    needs: tuple[str, ...] = ()
    """Roles that a pipeline must have because it has this component."""


@dataclass(frozen=True)
class Adapter:
    """An IP-Adapter's weights, and how many image tokens its projector makes."""

    path: Path
    tokens: int


@dataclass(frozen=True)
class Source:
    """Where one component of one pipeline comes from: files that have been looked at, but not loaded."""

    component: Component
    folder: Path
    config: Mapping[str, Any]
    weights: tuple[Path, ...]
    """Its safetensors files."""
    tokenizer: Path | None = None
    adapter: Adapter | None = None

    @property
    def identity(self) -> tuple[Path | None, ...]:
        """Equal for two pipelines that share the component."""
        return self.folder.resolve(), None if self.adapter is None else self.adapter.path.resolve()

    @property
    def files(self) -> dict[str, Path]:
        """The safetensors files by the names they have beside the graph."""
        single = len(self.weights) == 1
        files = {"weights.safetensors" if single else path.name: path for path in self.weights}
        return files if self.adapter is None else files | {self.adapter.path.name: self.adapter.path}


def rand(generator: torch.Generator, *shape: int) -> torch.Tensor:
    """Uniform values in −1…1, FP32."""
    return torch.rand(*shape, generator=generator) * 2 - 1


def rand_mask(generator: torch.Generator, rows: int, height: int, width: int) -> torch.Tensor:
    """A mask [rows, 1, height, width] with zeros, ones and soft values between them, as real edges have."""
    noise = torch.rand(rows, 1, height, width, generator=generator)
    return (noise * 2 - 0.5).clamp(0, 1)

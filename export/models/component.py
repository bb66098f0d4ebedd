"""What every component of a pipeline tells the exporter: tensors, wrapper module, sample inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from export.contract import Contract, Size, TensorSpec
from export.layout import Kind, Source

# `make tune`, on two cores: a row alone has both for every operator, and a batch is cut in two that meet at its end.
ON_A_CPU = {"intra_op_threads": "2", "row_workers": "2"}
LARGE_ON_A_CPU = {**ON_A_CPU, "rows_a_run": "1"}
"""For graphs of whole pictures: two rows do not fit the caches, and each is slower batched than alone."""

Inputs = tuple[torch.Tensor, ...]
"""A component's inputs with a batch dimension, in the order of its specs."""


@dataclass(frozen=True)
class ComponentModule:
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
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Entries for the config's `parameters`, read by the serving backend."""
    instances: int = 1
    """Copies that a CPU runs side by side."""
    binary: frozenset[str] = frozenset()
    """Outputs of zeros and ones: two of them differ by the share of bits that differ."""

    @property
    def contract(self) -> Contract:
        """All of it but the module."""
        return Contract(
            self.inputs, self.outputs, self.max_batch_size, parameters=self.parameters, instances=self.instances
        )


@dataclass(frozen=True)
class Component:
    """How one kind of component is loaded and wrapped."""

    kind: Kind
    load: Callable[[Source], nn.Module]
    prepare: Callable[[Any], ComponentModule]


def rand(generator: torch.Generator, *shape: int) -> torch.Tensor:
    """Uniform values in −1…1, FP32."""
    return torch.rand(*shape, generator=generator) * 2 - 1


def rand_mask(generator: torch.Generator, rows: int, height: int, width: int) -> torch.Tensor:
    """A mask [rows, 1, height, width] with zeros, ones and soft values between them, as real edges have."""
    noise = torch.rand(rows, 1, height, width, generator=generator)
    return (noise * 2 - 0.5).clamp(0, 1)

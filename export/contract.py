"""What a model takes and gives: tensors, dynamic sizes, batch cap; all that configs and engines need to know of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

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


SMALL = Size(height=64, width=96, tokens=16)
"""A size that no bucket has, and whose sides differ; every graph is compared at it."""
BATCHES = (1, 3)
"""The batch sizes at which graphs are compared."""


@dataclass(frozen=True)
class Contract:
    """A model as its clients and its server see it; nothing in it needs torch."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    max_batch_size: int = 8
    max_queue_size: int = 512
    """Requests that may wait; the next one is refused at once. A safety net: what is admitted (running requests ×
    variants) is bounded by the orchestrator, and no step of an admitted picture should ever meet this bound."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Entries for the config's `parameters`, read by the serving backend."""
    instances: int = 1
    """Copies that a CPU runs side by side; how many engines a GPU runs is decided by their profiles."""

    def to_json(self) -> dict[str, Any]:
        """The contract as JSON-ready values."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Contract:
        """Reads what `to_json` wrote.

        Raises:
            KeyError, TypeError: if it is something else.
        """

        def specs(key: str) -> tuple[TensorSpec, ...]:
            return tuple(
                TensorSpec(
                    spec["name"],
                    spec["dtype"],
                    tuple(Axis(**size) if isinstance(size, dict) else int(size) for size in spec["shape"]),
                )
                for spec in value[key]
            )

        return cls(
            specs("inputs"),
            specs("outputs"),
            int(value["max_batch_size"]),
            int(value["max_queue_size"]),
            dict(value["parameters"]),
            int(value.get("instances", 1)),
        )

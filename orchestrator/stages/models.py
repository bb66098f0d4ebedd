"""What the stages know of the models: calls by role, which Triton (or a test's function) answers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from orchestrator.arrays import Floats
from orchestrator.repository import PipelineSpec


class Infer(Protocol):
    """Runs a model on a batch of rows; arrays carry the batch dimension first.

    `again`: the caller will call the same model again as soon as it has the outputs, so the next batch may wait for
    that call.
    """

    async def __call__(
        self, model: str, inputs: Mapping[str, npt.NDArray[Any]], *, request_id: str, again: bool = False
    ) -> dict[str, npt.NDArray[Any]]: ...


@dataclasses.dataclass(frozen=True)
class Models:
    """The models of one pipeline, for one request."""

    pipeline: PipelineSpec
    infer: Infer
    request_id: str

    async def run(self, role: str, **inputs: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        """Runs the model that plays `role`; every input is a batch of rows."""
        return await self.step(role, inputs, again=False)

    async def step(
        self, role: str, inputs: Mapping[str, npt.NDArray[Any]], *, again: bool
    ) -> dict[str, npt.NDArray[Any]]:
        """Runs the model that plays `role` for one step of a loop; `again`: another step follows."""
        model = self.pipeline.models[role].name
        return await self.infer(model, inputs, request_id=self.request_id, again=again)

    async def one(self, role: str, **inputs: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        """Runs the model on a single row; inputs and outputs are without the batch dimension."""
        outputs = await self.run(role, **{name: value[None] for name, value in inputs.items()})
        return {name: value[0] for name, value in outputs.items()}

    def fingerprint(self, role: str) -> str:
        """Digest of the served files of the model that plays `role`."""
        return self.pipeline.models[role].fingerprint

    def takes(self, role: str, tensor: str) -> bool:
        """Whether the model has an input of that name; optional conditioning is found this way."""
        return any(spec.name == tensor for spec in self.pipeline.models[role].inputs)

    def shape(self, role: str, tensor: str) -> tuple[int, ...]:
        """The shape of an input of the model, without the batch dimension; KeyError when it has none of that name."""
        return {spec.name: spec.shape for spec in self.pipeline.models[role].inputs}[tensor]


def batch_of(*rows: npt.NDArray[np.float32]) -> Floats:
    """Stacks rows into a contiguous batch."""
    return np.ascontiguousarray(np.stack(rows), np.float32)

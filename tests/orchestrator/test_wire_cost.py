"""What a request puts on the wire, counted: bytes, and how often each array is copied. Times vary, these do not.

A number here may fall at any time; one that rises needs a reason in the commit that raises it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from backdrop.contract.geometry import Size
from orchestrator.stages.denoise import GuidedDenoiser
from orchestrator.triton import Wire
from orchestrator.triton.shared_memory import Region
from tests.orchestrator.small import FunctionModels, pipeline_spec, request
from tests.orchestrator.stages.running import inputs_of, models_of
from tests.orchestrator.triton.receiver import Receiver, receiving

STEPS = 10
# 256 × 256 pixels: latents are 32 × 32, and large enough to be worth a reference.
SPEC = dataclasses.replace(pipeline_spec(), buckets=(Size(256, 256),))
ROW = 4 * 32 * 32 * 4
SMALL = 12 * 10 * 4 + 6 * 4 + 6 * 4  # states, pooled, sizes: below what is worth a reference
TIMESTEP = 4


@dataclasses.dataclass
class Counted:
    """Models behind a wire: counts the bytes of each message to the denoiser, as a server would receive them."""

    wire: Wire
    receiver: Receiver
    by_reference: bool
    models: FunctionModels = dataclasses.field(default_factory=FunctionModels)
    messages: list[int] = dataclasses.field(default_factory=list)
    placed: list[int] = dataclasses.field(default_factory=list)

    async def __call__(
        self, model: str, inputs: Mapping[str, npt.NDArray[Any]], *, request_id: str, again: bool = False
    ) -> dict[str, npt.NDArray[Any]]:
        tensors = self.wire.tensors(inputs, by_reference=self.by_reference)
        if model == "denoiser":
            self.messages.append(sum(len(each.message or b"") for each in self.receiver.receive(tensors)))
            self.placed.append(self.wire.region.used if self.wire.region else 0)
        return await self.models(model, inputs, request_id=request_id)


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def wire() -> Iterator[Wire]:
    wire = Wire(Region(4 << 20, "backdrop_test_"))
    yield wire
    wire.close()


async def steps(folder: Path, counted: Counted) -> GuidedDenoiser:
    """Ten guided steps of one variant."""
    request_ = request(pipeline=SPEC, scheduler="dpmpp_2m", steps=STEPS)
    models = models_of(request_, counted)
    denoiser = GuidedDenoiser(request_.parts.sampling, models, await inputs_of(request_, models, folder))
    for step in range(STEPS):
        await denoiser(np.zeros((4, 32, 32), np.float32), 900.0 - step, step, STEPS)
    return denoiser


async def test_without_shared_memory_a_step_is_sent_whole(tmp_path: Path, receiver: Receiver) -> None:
    counted = Counted(Wire(), receiver, by_reference=False)
    await steps(tmp_path, counted)
    assert counted.messages == [2 * (ROW + TIMESTEP + ROW + ROW // 4 + SMALL)] * STEPS


async def test_with_it_conditioning_is_sent_once_and_placed_once(
    tmp_path: Path, receiver: Receiver, wire: Wire
) -> None:
    counted = Counted(wire, receiver, by_reference=True)
    denoiser = await steps(tmp_path, counted)
    whole, after = counted.messages[0], counted.messages[1:]
    assert whole == 2 * (ROW + TIMESTEP + ROW + ROW // 4 + SMALL)
    assert after == [2 * (ROW + TIMESTEP + SMALL)] * (STEPS - 1)
    assert counted.placed == [0] + [2 * (ROW + ROW // 4)] * (STEPS - 1), "one copy of each, however many steps"
    counted.models.inputs.clear()
    del denoiser
    assert wire.remembered == 0
    assert wire.region is not None
    assert wire.region.used == 0

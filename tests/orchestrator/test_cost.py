"""What a picture costs, counted: rows, calls and bytes of fixed requests. Times vary with the machine, these do not.

A number here may fall at any time; one that rises needs a reason in the commit that raises it.
"""

import asyncio
import collections
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from backdrop.contract.parts import DroppingRound, Window
from orchestrator.pipeline import Pipeline
from orchestrator.request import Request
from orchestrator.scheduling import Batcher, model_queue
from orchestrator.scheduling.admission import Admission, Limits
from orchestrator.stages.frames import PixelMemory
from tests.orchestrator.small import Array, DictCache, FunctionModels, KnownCost, capacity, request, style, tokenizers


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches wait for every expected caller, however slow the machine is: counts must not depend on its clock."""
    for name in ("_MIN_RESERVATION_S", "_MAX_RESERVATION_S"):
        monkeypatch.setattr(model_queue, name, 10.0)


@dataclasses.dataclass
class Counted:
    """Every model call, by model."""

    models: FunctionModels
    calls: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    rows: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    sent: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)

    async def __call__(
        self, model: str, inputs: Mapping[str, Array], *, request_id: str, again: bool = False, priority: int = 0
    ) -> dict[str, Array]:
        self.calls[model] += 1
        self.rows[model] += len(next(iter(inputs.values())))
        self.sent[model] += sum(value.nbytes for value in inputs.values())
        return await self.models(model, inputs, request_id=request_id)


async def cost(folder: Path, *requests: Request, together: bool = False) -> Counted:
    """Runs the requests over one cache, one after another or all at once; larger batches take no longer."""
    counted = Counted(FunctionModels())
    admission = Admission(Limits(8, 8))
    batcher = Batcher(counted, lambda model: capacity(1, 8), new_cost=KnownCost)
    pipeline = Pipeline(
        batcher, DictCache(), tokenizers(folder)[1], admission, PixelMemory(16.0), max_buffered_events=1000
    )

    async def make(request_: Request) -> None:
        async for _ in pipeline.run(request_):
            pass

    if together:
        await asyncio.gather(*map(make, requests))
    else:
        for request_ in requests:
            await make(request_)
    return counted


@pytest.mark.parametrize(
    ("changes", "rows", "calls"),
    [
        # The first variant's first step is on its way before the others ask; from then on they share every call.
        ({}, 80, 11),
        ({"guidance_scale": 1.0}, 40, 11),
        ({"guidance_window": Window(0.0, 0.7)}, 68, 11),
        ({"variants": 1, "top_k": 1}, 20, 10),
        ({"dropping": (DroppingRound(2, 0.5),)}, 60, 12),
        ({"dropping": (DroppingRound(2, 0.7),), "guidance_window": Window(0.0, 0.7)}, 4 * 14 + 2 * 3, 12),
        ({"dropping": (DroppingRound(3, 0.4), DroppingRound(2, 0.6))}, 2 * (4 * 4 + 3 * 2 + 2 * 4), 13),
        # As 0.6 comes off the wire: six steps, not seven.
        ({"dropping": (DroppingRound(2, 0.6000000238418579),)}, 2 * (4 * 6 + 2 * 4), 12),
        # Drafts in three steps each, and then whole ways; a round on the way too; guidance in drafts as in the rest.
        ({"dropping": (DroppingRound(2, draft_steps=3),)}, 2 * (4 * 3 + 2 * 10), 15),
        ({"dropping": (DroppingRound(3, draft_steps=3), DroppingRound(2, 0.6))}, 2 * (4 * 3 + 3 * 6 + 2 * 4), 16),
        (
            {"dropping": (DroppingRound(2, draft_steps=4),), "guidance_window": Window(0.0, 0.5)},
            *(4 * (2 * 2 + 2) + 2 * (2 * 5 + 5), 16),
        ),
        # Both fall on the last step but one.
        ({"dropping": (DroppingRound(3, 0.95), DroppingRound(2, 0.97))}, 2 * (4 * 9 + 2), 12),
    ],
)
async def test_rows_and_calls_of_the_loop(tmp_path: Path, changes: dict[str, Any], rows: int, calls: int) -> None:
    request_ = request(**{"steps": 10, "variants": 4, "top_k": 2, **changes})
    counted = await cost(tmp_path, request_)
    assert counted.rows["denoiser"] == rows == request_.usage.row_steps
    assert counted.calls["denoiser"] == calls
    selection = request_.parts.selection
    looked_at = (
        selection.variants + sum(selection.rounds(10).values()) + (selection.draft.keep if selection.draft else 0)
    )
    assert counted.rows["vae_decoder"] == counted.rows["reward"] == looked_at
    assert counted.calls["vae_decoder"] < looked_at or looked_at == 1


async def test_requests_that_run_side_by_side_share_their_calls(tmp_path: Path) -> None:
    requests = [request(steps=10, variants=1, top_k=1, seed=number) for number in range(4)]
    counted = await cost(tmp_path, *requests, together=True)
    assert counted.rows["denoiser"] == 80
    # The requests do not begin at the same moment.
    assert counted.calls["denoiser"] < 40, "as many as alone"


async def test_what_is_the_same_for_all_variants_is_made_once(tmp_path: Path) -> None:
    counted = await cost(
        tmp_path, request(steps=2, variants=8, top_k=1, pipeline="small-style", style=style((9, 99, 200)))
    )
    once = ("vae_encoder", "image_encoder_clip", "image_encoder_uve", "image_projector")
    assert {name: counted.calls[name] for name in once} == dict.fromkeys(once, 1)
    assert counted.calls["text_encoder_l"] == counted.calls["text_encoder_g"] == 2, "the prompt, and the negative one"


async def test_a_second_request_encodes_nothing_again(tmp_path: Path) -> None:
    request_ = request(steps=2, variants=1, top_k=1)
    once, twice = (
        await cost(tmp_path / "a", request_),
        await cost(tmp_path / "b", request_, request(steps=2, variants=1, top_k=1, seed=8)),
    )
    for name in ("text_encoder_l", "text_encoder_g", "vae_encoder"):
        assert twice.calls[name] == once.calls[name]
    assert twice.calls["denoiser"] == 2 * once.calls["denoiser"]


async def test_bytes_of_a_step(tmp_path: Path) -> None:
    """Latents, and the conditioning that goes with every step: what sending it once would save."""
    counted = await cost(tmp_path, request(steps=10, variants=1, top_k=1))
    latents = 4 * 8 * 8 * 4
    conditioning = latents // 4 + latents + 12 * 10 * 4 + 6 * 4 + 6 * 4  # mask, masked picture, states, pooled, sizes
    timestep = 4
    assert counted.sent["denoiser"] == 10 * 2 * (latents + timestep + conditioning)

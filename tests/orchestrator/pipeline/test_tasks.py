"""Tasks and adapters in the pipeline: known pixels, blending, slots of rows, ranking."""

import asyncio
import dataclasses
import io
from typing import Any

import pytest
from PIL import Image

from backdrop.contract.geometry import Size
from backdrop.contract.parts import Adapter, DroppingRound
from orchestrator.events import (
    Stage,
    StageStarted,
    StepDone,
)
from orchestrator.imaging.view import start_of
from orchestrator.repository import PipelineSpec
from orchestrator.repository.conventions import HoleColours
from orchestrator.request import Request
from orchestrator.scheduling.call import Call, Outputs
from orchestrator.tasks import Task
from orchestrator.tasks.background import BACKGROUND
from orchestrator.tasks.erase import ERASE
from orchestrator.tasks.text_to_image import TEXT_TO_IMAGE
from orchestrator.tasks.upscale import UPSCALE
from orchestrator.tasks.vary import VARY
from tests.orchestrator.pipeline.bench import Bench
from tests.orchestrator.small import (
    ADAPTERS,
    HEADS,
    model_spec,
    pipeline_spec,
    request,
)
from tests.pictures import noisy_photo

Slots = tuple[tuple[int, float], ...]
"""The adapters of a row: number in the bank and scale of each slot."""


def blending_flow() -> PipelineSpec:
    """A flow whose denoiser does not see known pixels."""
    spec = pipeline_spec("small-flow")
    return dataclasses.replace(spec, models={**spec.models, "denoiser": model_spec("denoiser_text")})


@pytest.mark.parametrize("pipeline", ["small", "small-text"])
async def test_a_picture_from_words_keeps_nothing_and_has_no_receipt(bench: Bench, pipeline: str) -> None:
    request_ = request(TEXT_TO_IMAGE, pipeline, size=Size(96, 72), preview_every=4)
    run = await bench.run(request_)
    assert [picture.receipt for picture in run.pictures] == [None, None]
    assert [Image.open(io.BytesIO(data)).size for data in run.data] == [(96, 72)] * 2
    assert [e.stage for e in run.events if isinstance(e, StageStarted)] == list(Stage)
    assert bench.models.rows("segmenter") == 0
    previews = [event.preview for event in run.events if isinstance(event, StepDone) and event.preview]
    assert [Image.open(io.BytesIO(preview)).size for preview in previews] == [(32, 24)] * 2
    other = await bench.run(request(TEXT_TO_IMAGE, pipeline, size=Size(96, 72), prompt="a city"))
    assert other.best.data != run.best.data, "the prompt decides"
    assert (await bench.run(request_)).data == run.data


async def test_without_a_size_a_picture_from_words_has_the_first_bucket(bench: Bench) -> None:
    assert (await bench.run(request(TEXT_TO_IMAGE))).best.size == Size(64, 64)


async def test_a_denoiser_of_4_channels_gets_no_known_pixels(bench: Bench) -> None:
    await bench.run(request(TEXT_TO_IMAGE, "small-text"))
    sent = set(bench.models.inputs["denoiser_text"])
    assert sent == {"sample", "timestep", "encoder_hidden_states", "text_embeds", "time_ids"}
    assert bench.models.rows("vae_encoder") == 0, "nobody reads known latents"


@pytest.mark.parametrize("task", [BACKGROUND, ERASE], ids=lambda task: task.name)
async def test_a_denoiser_of_4_channels_serves_masked_tasks_too(bench: Bench, task: Task) -> None:
    changes: dict[str, Any] = {} if task is BACKGROUND else {"placement": 0}  # the options: how far the mask is widened
    run = await bench.run(request(task, "small-text", **changes))
    assert set(bench.models.inputs["denoiser_text"]).isdisjoint({"mask", "masked_image_latents"})
    assert bench.models.rows("vae_encoder") == 1, "the whole picture is encoded once"
    assert run.receipt.max_difference == 0
    assert run.receipt.compared_pixels
    other = await bench.run(request(task, "small-text", photo=noisy_photo(64, 64, seed=3), **changes))
    assert other.best.data != run.best.data


@pytest.mark.parametrize("pipeline", ["small-text", blending_flow()], ids=["diffusion", "flow"])
async def test_blended_pictures_do_not_depend_on_other_requests_of_the_batch(
    bench: Bench, pipeline: str | PipelineSpec
) -> None:
    dropping = (DroppingRound(2, draft_steps=2), DroppingRound(1, after=0.5))
    request_ = request(pipeline=pipeline, variants=3, top_k=1, steps=6, dropping=dropping)
    alone = await bench.run(request_)
    together, _ = await asyncio.gather(bench.run(request_), bench.run(request(pipeline=pipeline, seed=9, steps=5)))
    assert together.data == alone.data
    assert max(rows for name, rows in bench.models.calls if name.startswith("denoiser")) == 4, "rows shared a batch"


async def test_a_hole_keeps_its_decoded_colours_where_the_pipeline_says_so(bench: Bench) -> None:
    spec = pipeline_spec("small")
    conventions = dataclasses.replace(spec.conventions, hole_colours=HoleColours.DECODED)
    decoded = await bench.run(request(ERASE, dataclasses.replace(spec, conventions=conventions)))
    continued = await bench.run(request(ERASE, spec))
    assert decoded.best.data != continued.best.data
    assert decoded.best.receipt is not None
    assert decoded.best.receipt.exact


@pytest.mark.parametrize("name", ADAPTERS)
async def test_a_tasks_adapter_reaches_the_rows(bench: Bench, name: str) -> None:
    own = {"background": {name: 0.75}, "erase": {"wet": 0.5}}
    run = await bench.run(request(pipeline=dataclasses.replace(pipeline_spec("small-style"), task_adapters=own)))
    rows = bench.models.inputs["denoiser_style"]
    assert set(rows["adapter"][:, 0]) == {ADAPTERS[name].row}
    assert set(rows["adapter_scale"][:, 0]) == {0.75}
    assert run.best.data != (await bench.run(request(pipeline="small-style"))).best.data


def noted_slots(bench: Bench) -> list[set[Slots]]:
    """For each later call of "small-style"'s denoiser, the adapters that its rows name: grows while requests run."""
    calls: list[set[Slots]] = []

    async def note(model: str) -> None:
        if model == "denoiser_style":
            rows = bench.models.inputs[model]
            pairs = zip(rows["adapter"].tolist(), rows["adapter_scale"].tolist(), strict=True)
            calls.append({tuple(zip(*pair, strict=True)) for pair in pairs})
            # Long enough for another request's rows to wait beside those of a third one.
            await asyncio.sleep(0.01)

    bench.models.before = note
    return calls


async def test_a_requests_adapters_reach_drafts_and_every_step(bench: Bench) -> None:
    dropping = (DroppingRound(2, draft_steps=1),)
    changes: dict[str, Any] = {"pipeline": "small-style", "variants": 3, "dropping": dropping}
    adapters = (Adapter("cold", 0.5), Adapter("wet", -1.0))
    calls = noted_slots(bench)
    run = await bench.run(request(adapters=adapters, **changes))
    assert calls
    assert all(call == {((2, 0.5), (3, -1.0))} for call in calls)
    assert run.best.data != (await bench.run(request(**changes))).best.data
    assert run.best.data != (await bench.run(request(adapters=adapters[:1], **changes))).best.data


async def test_requests_with_different_adapters_share_batches_and_stay_themselves(bench: Bench) -> None:
    warm, cold = Adapter("warm"), Adapter("cold", 0.75)
    changes: dict[str, Any] = {"pipeline": "small-style", "variants": 1, "top_k": 1}
    requests = [request(adapters=each, **changes) for each in ((), (warm,), (cold,), (cold, warm))]
    alone = [(await bench.run(each)).best.data for each in requests]
    assert len(set(alone)) == len(requests)
    calls = noted_slots(bench)
    together = await asyncio.gather(*(bench.run(each) for each in requests))
    assert [run.best.data for run in together] == alone
    assert any(len(call) > 1 for call in calls), "no call had rows of two requests"


async def test_a_start_from_the_picture_skips_steps_and_keeps_what_is_known(bench: Bench) -> None:
    request_ = request(steps=10, strength=0.5)
    run = await bench.run(request_)
    assert bench.models.rows("denoiser") == request_.usage.row_steps == 20
    for variant in (0, 1):
        steps = [event.step for event in run.events if isinstance(event, StepDone) and event.variant == variant]
        assert steps == [6, 7, 8, 9, 10]
    assert run.receipt.max_difference == 0
    assert run.best.data != (await bench.run(request(steps=10, strength=0.9))).best.data
    other = await bench.run(request(steps=10, strength=0.5, photo=noisy_photo(64, 64, seed=3)))
    assert other.best.data != run.best.data


async def test_without_a_step_every_variant_is_the_picture_as_the_autoencoder_makes_it(bench: Bench) -> None:
    run = await bench.run(request(VARY, steps=10, strength=0.0, variants=2, top_k=2))
    assert bench.models.rows("denoiser") == 0
    assert len(run.pictures) == 2
    assert run.pictures[0].data == run.pictures[1].data
    picture = start_of(VARY.frame(request(VARY).input))
    assert (bench.models.inputs["vae_decoder"]["latents"] == bench.models.encoded(picture)).all()


async def test_a_tasks_heads_decide_the_ranking(bench: Bench) -> None:
    default = await bench.run(request(variants=5, top_k=5))
    assert all(scores.judged_by == () for scores in default.scores)
    # The small reward model's "aesthetics" falls where "defects" and the mean of all heads rise.
    task = dataclasses.replace(BACKGROUND, heads=("aesthetics",))
    run = await bench.run(request(task, variants=5, top_k=5))
    assert run.data == default.data[::-1]
    assert [scores.total for scores in run.scores] == [scores.heads["aesthetics"] for scores in run.scores]
    assert [picture.rank for picture in run.pictures] == list(range(5))
    assert all(tuple(scores.heads) == HEADS for scores in run.scores), "all heads are reported"


async def test_a_tasks_heads_decide_who_is_dropped(bench: Bench) -> None:
    async def survivor(task: Task) -> int:
        dropping = (DroppingRound(1, draft_steps=2),)
        return (await bench.run(request(task, variants=5, top_k=1, dropping=dropping))).best.variant

    assert await survivor(BACKGROUND) != await survivor(dataclasses.replace(BACKGROUND, heads=("aesthetics",)))


def sent(task: Task, pipeline: str, picture: Size, result: Size, **changes: Any) -> Request:
    """A request as the api makes it: with the sizes of its picture and of its result."""
    request_ = request(task, pipeline, photo=noisy_photo(picture.width, picture.height), **changes)
    task_input = dataclasses.replace(request_.input, picture_size=picture, delivery_size=result)
    return dataclasses.replace(request_, input=task_input)


@pytest.mark.parametrize(
    "request_",
    [
        sent(UPSCALE, "small-large", Size(300, 140), Size(600, 280), placement=2, variants=1, top_k=1),
        sent(UPSCALE, "small-large", Size(300, 140), Size(1200, 560), placement=4, variants=1, top_k=1),
        sent(UPSCALE, "small-large", Size(40, 30), Size(80, 60), placement=2, variants=1, top_k=1),
        request(TEXT_TO_IMAGE, "small-large", size=Size(200, 150)),
        request(TEXT_TO_IMAGE, "small-large", size=Size(48, 48)),
        request(TEXT_TO_IMAGE, "small", size=Size(200, 150)),
    ],
)
async def test_a_request_is_charged_what_models_compute_for_it(bench: Bench, request_: Request) -> None:
    charged = 0.0
    serve = bench.batcher.serve

    async def counted(call: Call) -> Outputs:
        nonlocal charged
        charged += call.cost if call.model in ("denoiser", "vae_decoder", "reward", "upscaler") else 0.0
        return await serve(call)

    bench.batcher.serve = counted  # type: ignore[method-assign]
    await bench.run(request_)
    assert charged > 0
    not_of_models = 0.0 if request_.task.rules.sampled else request_.input.size.megapixels
    assert request_.work == pytest.approx(charged + not_of_models)

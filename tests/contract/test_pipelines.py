"""Every pipeline that a server offers keeps the contract by its own description: solvers, steps, prompts, seeds."""

from __future__ import annotations

import pytest

from backdrop import AsyncClient, InvalidRequestError, Pipeline, Reason, Scheduler, StepProgress
from tests.contract.photos import QUICK


def _offering(pipelines: tuple[Pipeline, ...], scheduler: Scheduler) -> Pipeline:
    for pipeline in pipelines:
        if scheduler in pipeline.schedulers:
            return pipeline
    pytest.skip(f"no pipeline of this server's repository offers {scheduler}")


async def test_every_pipeline_runs_with_its_own_defaults(client: AsyncClient) -> None:
    for pipeline in (await client.info()).pipelines:
        result = await client.generate(QUICK["product"], mask=QUICK["mask"], prompt="a beach", pipeline=pipeline.name)
        settings = result.settings
        assert settings.steps == pipeline.default_steps
        assert settings.scheduler == pipeline.default_scheduler
        assert settings.guidance_scale == pytest.approx(pipeline.default_guidance_scale)
        served = {model.name: model.fingerprint for model in pipeline.models}
        assert dict(result.model_fingerprints) == served
        assert result.best.receipt.max_difference == 0


async def test_every_solver_of_every_pipeline_repeats_itself_and_shows_previews(client: AsyncClient) -> None:
    for pipeline in (await client.info()).pipelines:
        made = set()
        for scheduler in pipeline.schedulers:
            arguments = {**QUICK, "steps": 3, "seed": 6, "pipeline": pipeline.name, "scheduler": scheduler}
            events = [event async for event in client.generate(**arguments, preview_every=1)]
            assert all(event.preview for event in events if isinstance(event, StepProgress))
            again = await client.generate(**arguments)
            assert again.best.data == events[-1].best.data
            made.add(again.best.data)
        assert len(made) == len(pipeline.schedulers)


async def test_a_solver_of_another_kind_is_refused(client: AsyncClient) -> None:
    known = [scheduler for scheduler in Scheduler if scheduler is not Scheduler.UNKNOWN]
    for pipeline in (await client.info()).pipelines:
        for scheduler in known:
            if scheduler in pipeline.schedulers:
                continue
            with pytest.raises(InvalidRequestError) as caught:
                await client.generate(**QUICK, pipeline=pipeline.name, scheduler=scheduler)
            assert (caught.value.reason, caught.value.field) == (Reason.UNKNOWN_VALUE, "scheduler")


async def test_lcm_takes_50_steps_at_most(client: AsyncClient) -> None:
    pipeline = _offering((await client.info()).pipelines, Scheduler.LCM)
    arguments = {**QUICK, "pipeline": pipeline.name, "scheduler": Scheduler.LCM}
    assert (await client.generate(**{**arguments, "steps": 50})).settings.steps == 50
    with pytest.raises(InvalidRequestError) as caught:
        await client.generate(**{**arguments, "steps": 51})
    assert (caught.value.reason, caught.value.field) == (Reason.OUT_OF_RANGE, "steps")


async def test_prompts_are_as_long_as_the_pipeline_says(client: AsyncClient) -> None:
    for pipeline in (await client.info()).pipelines:
        longest = "a " * (pipeline.max_prompt_tokens - 2)  # start and end count
        arguments = {**QUICK, "steps": 1, "pipeline": pipeline.name}
        assert (await client.generate(**{**arguments, "prompt": longest})).pictures
        with pytest.raises(InvalidRequestError) as caught:
            await client.generate(**{**arguments, "prompt": longest + "a"})
        assert (caught.value.reason, caught.value.field) == (Reason.PROMPT_TOO_LONG, "prompt")


async def test_pipelines_make_pictures_of_their_own(client: AsyncClient) -> None:
    pipelines = (await client.info()).pipelines
    if len(pipelines) < 2:
        pytest.skip("this server's repository has a single pipeline")
    made = {(await client.generate(**QUICK, seed=5, pipeline=pipeline.name)).best.data for pipeline in pipelines}
    assert len(made) == len(pipelines)

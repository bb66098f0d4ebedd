"""Every pipeline that a server offers keeps the contract by its own description: solvers, steps, prompts, seeds."""

from __future__ import annotations

import pytest

from backdrop import AsyncClient, InvalidRequestError, Pipeline, Reason, Scheduler, StepProgress
from tests.contract.photos import QUICK, TASK, receipt_of


def _offering(pipelines: tuple[Pipeline, ...], scheduler: Scheduler) -> Pipeline:
    for pipeline in pipelines:
        if scheduler in pipeline.schedulers:
            return pipeline
    pytest.skip(f"no pipeline of this server's repository offers {scheduler}")


async def test_every_pipeline_runs_with_its_own_defaults(client: AsyncClient) -> None:
    for pipeline in (await client.info()).pipelines:
        result = await client.generate(TASK, prompt="a beach", pipeline=pipeline.name)
        settings = result.settings
        assert settings.steps == pipeline.default_steps
        assert settings.scheduler == pipeline.default_scheduler
        assert settings.guidance_scale == pytest.approx(pipeline.default_guidance_scale)
        served = {model.name: model.fingerprint for model in pipeline.models}
        adapters = {f"adapter:{adapter.name}": adapter.fingerprint for adapter in pipeline.adapters}
        assert served.items() <= result.model_fingerprints.items() <= {**served, **adapters}.items()
        assert receipt_of(result.best).max_difference == 0


async def test_every_solver_of_every_pipeline_repeats_itself_and_shows_previews(client: AsyncClient) -> None:
    for pipeline in (await client.info()).pipelines:
        made = set()
        for scheduler in pipeline.schedulers:
            arguments = {**QUICK, "steps": 3, "seed": 6, "pipeline": pipeline.name, "scheduler": scheduler}
            generation = client.generate(TASK, **arguments, preview_every=1)
            steps = [event async for event in generation if isinstance(event, StepProgress)]
            assert all(event.preview for event in steps)
            again = await client.generate(TASK, **arguments)
            assert again.best.data == (await generation).best.data
            made.add(again.best.data)
        assert len(made) == len(pipeline.schedulers)


async def test_a_solver_of_another_kind_is_refused(client: AsyncClient) -> None:
    known = [scheduler for scheduler in Scheduler if scheduler is not Scheduler.UNKNOWN]
    for pipeline in (await client.info()).pipelines:
        for scheduler in known:
            if scheduler in pipeline.schedulers:
                continue
            with pytest.raises(InvalidRequestError) as caught:
                await client.generate(TASK, **QUICK, pipeline=pipeline.name, scheduler=scheduler)
            assert (caught.value.reason, caught.value.field) == (Reason.UNKNOWN_VALUE, "sampling.scheduler")


async def test_lcm_takes_50_steps_at_most(client: AsyncClient) -> None:
    pipeline = _offering((await client.info()).pipelines, Scheduler.LCM)
    arguments = {**QUICK, "pipeline": pipeline.name, "scheduler": Scheduler.LCM}
    assert (await client.generate(TASK, **{**arguments, "steps": 50})).settings.steps == 50
    with pytest.raises(InvalidRequestError) as caught:
        await client.generate(TASK, **{**arguments, "steps": 51})
    assert (caught.value.reason, caught.value.field) == (Reason.OUT_OF_RANGE, "sampling.steps")


async def test_prompts_are_as_long_as_the_pipeline_says(client: AsyncClient) -> None:
    for pipeline in (await client.info()).pipelines:
        longest = "a " * (pipeline.max_prompt_tokens - 2)  # start and end count
        arguments = {**QUICK, "steps": 1, "pipeline": pipeline.name}
        assert (await client.generate(TASK, **{**arguments, "prompt": longest})).pictures
        with pytest.raises(InvalidRequestError) as caught:
            await client.generate(TASK, **{**arguments, "prompt": longest + "a"})
        assert (caught.value.reason, caught.value.field) == (Reason.PROMPT_TOO_LONG, "conditioning.prompt")


async def test_pipelines_make_pictures_of_their_own(client: AsyncClient) -> None:
    pipelines = (await client.info()).pipelines
    if len(pipelines) < 2:
        pytest.skip("this server's repository has a single pipeline")
    made = {(await client.generate(TASK, **QUICK, seed=5, pipeline=pipeline.name)).best.data for pipeline in pipelines}
    assert len(made) == len(pipelines)

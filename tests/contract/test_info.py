"""What a server says about itself, and its health."""

from __future__ import annotations

import re

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from backdrop import AsyncClient, Scheduler
from tests.contract.photos import QUICK, TASK, default_of


async def test_info_describes_pipelines_that_can_run(client: AsyncClient) -> None:
    info = await client.info()
    assert info.server_version
    assert info.ready_replicas >= 1
    assert info.default_pipeline in {pipeline.name for pipeline in info.pipelines}
    for pipeline in info.pipelines:
        assert pipeline.description
        assert pipeline.scene_sizes
        assert all(side > 0 for size in pipeline.scene_sizes for side in size)
        assert Scheduler.UNKNOWN not in pipeline.schedulers
        assert pipeline.default_scheduler in pipeline.schedulers
        assert 1 <= pipeline.default_steps <= info.limits.max_steps
        assert 1.0 <= pipeline.default_guidance_scale <= 20.0
        assert pipeline.max_prompt_tokens > 2
        assert pipeline.reward_heads
        assert (0.0 < pipeline.default_image_scale <= 2.0) == pipeline.takes_style_images
        assert {"denoiser", "vae_decoder", "vae_encoder", "reward"} <= {model.role for model in pipeline.models}
        for model in pipeline.models:
            assert model.name
            assert model.version
            assert re.fullmatch("sha256:[0-9a-f]{64}", model.fingerprint)


async def test_info_describes_tasks_and_who_serves_them(client: AsyncClient) -> None:
    info = await client.info()
    tasks = {task.name: task for task in info.tasks}
    assert {"background", "text_to_image"} <= set(tasks)
    assert all(re.fullmatch(r"[A-Z].*\.", task.description) for task in info.tasks)
    assert tasks["background"].required_fields == ("background.product",)
    assert "background" in default_of(info).tasks
    for pipeline in info.pipelines:
        assert set(pipeline.tasks) <= set(tasks)


async def test_limits_are_set(client: AsyncClient) -> None:
    limits = (await client.info()).limits
    assert limits.max_variants >= 1
    assert limits.max_steps >= 50
    assert 10**6 <= limits.max_pixels <= 16 * 2**20
    assert limits.max_request_bytes >= 2 * 16 * 2**20  # a photo and a mask
    assert limits.max_running >= 1
    assert limits.max_queued >= 0
    assert limits.idempotency_ttl_s > 0
    assert limits.max_style_images == 4


async def test_the_limits_hold_at_their_edge(client: AsyncClient) -> None:
    limits = (await client.info()).limits
    result = await client.generate(TASK, **{**QUICK, "steps": 1}, variants=limits.max_variants, top_k=1)
    assert result.settings.variants == limits.max_variants
    result = await client.generate(TASK, **{**QUICK, "steps": limits.max_steps})
    assert result.settings.steps == limits.max_steps


async def test_every_pipeline_can_be_named(client: AsyncClient) -> None:
    for pipeline in (await client.info()).pipelines:
        assert (await client.generate(TASK, **QUICK, pipeline=pipeline.name)).settings.pipeline == pipeline.name


async def test_the_server_is_ready(client: AsyncClient) -> None:
    assert await client.ready()
    assert (await client.wait_ready(5.0)).pipelines


@pytest.mark.parametrize("service", ["", "backdrop.v1.GenerationService", "backdrop.v1.InfoService"])
async def test_health_says_serving(channel: grpc.aio.Channel, service: str) -> None:
    stub = health_pb2_grpc.HealthStub(channel)
    answer = await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=5)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_health_does_not_know_strangers(channel: grpc.aio.Channel) -> None:
    stub = health_pb2_grpc.HealthStub(channel)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Check(health_pb2.HealthCheckRequest(service="no.such.Service"), timeout=5)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND

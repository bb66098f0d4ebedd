"""What the server says about itself: limits by its settings, tasks by the contract, pipelines by their models."""

from __future__ import annotations

from pathlib import Path

import pytest

from backdrop.contract.rules import TASKS
from backdrop.v1 import generation_service_pb2 as pb
from backdrop.v1 import info_service_pb2 as info_pb
from orchestrator.api.info import describe_server, describer
from tests.orchestrator.small import ADAPTERS, HEADS, PIPELINES, SLOTS, server_settings, tokenizers


@pytest.fixture
def described(tmp_path: Path) -> info_pb.GetInfoResponse:
    repository, _ = tokenizers(tmp_path)
    settings = server_settings(tmp_path, max_variants=5, max_steps=33, max_pixels=5000, idempotency_ttl_s=77)
    return describe_server(settings, repository)


def pipeline(described: info_pb.GetInfoResponse, name: str) -> info_pb.Pipeline:
    return next(each for each in described.pipelines if each.name == name)


def test_limits_are_the_settings(described: info_pb.GetInfoResponse) -> None:
    limits = described.limits
    assert (limits.max_variants, limits.max_steps, limits.max_pixels) == (5, 33, 5000)
    assert (limits.idempotency_ttl.seconds, limits.max_style_images) == (77, 4)
    assert described.default_pipeline == "small"
    assert described.server_version


def test_tasks_say_which_fields_they_take(described: info_pb.GetInfoResponse) -> None:
    assert [task.name for task in described.tasks] == list(TASKS)
    for task in described.tasks:
        rules = TASKS[task.name]
        assert task.description == rules.description
        assert (tuple(task.required_fields), tuple(task.refused_fields)) == (rules.required, rules.refused)


def test_pipelines_say_which_tasks_they_serve(described: info_pb.GetInfoResponse) -> None:
    tasks = {each.name: list(each.tasks) for each in described.pipelines}
    assert tasks.pop("small-large") == [*TASKS]
    without = [task for task in TASKS if task != "upscale"]
    assert tasks == {name: without for name in PIPELINES if name in tasks}
    factors = {each.name: list(each.upscale_factors) for each in described.pipelines}
    assert {name for name, offered in factors.items() if offered} == {"small-large"}
    assert factors["small-large"] == [2, 4]


def test_a_pipeline_is_described_by_its_own_numbers(described: info_pb.GetInfoResponse) -> None:
    small = pipeline(described, "small")
    assert [(size.width, size.height) for size in small.scene_sizes] == [(64, 64), (64, 48), (48, 64)]
    assert small.default_scheduler == pb.SCHEDULER_DPMPP_2M
    assert (small.default_steps, small.default_guidance_scale, small.max_prompt_tokens) == (4, 3.0, 12)
    assert list(small.reward_heads) == list(HEADS)
    denoiser = next(model for model in small.models if model.role == "denoiser")
    assert (denoiser.name, denoiser.version, denoiser.fingerprint) == ("denoiser", "1", "sha256:denoiser")


def test_a_pipeline_says_whether_it_scores_and_segments(described: info_pb.GetInfoResponse) -> None:
    small, bare = pipeline(described, "small"), pipeline(described, "small-bare")
    assert (list(small.reward_heads), small.has_segmenter) == (list(HEADS), True)
    assert (list(bare.reward_heads), bare.has_segmenter) == ([], False)
    assert {model.role for model in bare.models} == {"text_encoder_l", "vae_encoder", "denoiser", "vae_decoder"}


def test_adapters_are_listed_by_name_with_their_digests(described: info_pb.GetInfoResponse) -> None:
    adapted = pipeline(described, "small-style")
    listed = [(adapter.name, adapter.fingerprint) for adapter in adapted.adapters]
    assert listed == [(name, f"sha256:{name}") for name in sorted(ADAPTERS)]
    assert adapted.max_adapters == SLOTS
    assert (list(pipeline(described, "small").adapters), pipeline(described, "small").max_adapters) == ([], 0)


def test_only_the_number_of_replicas_changes(described: info_pb.GetInfoResponse) -> None:
    ready = 3
    describe = describer(described, lambda: ready)
    first = describe()
    ready = 1
    second = describe()
    assert (first.ready_replicas, second.ready_replicas, described.ready_replicas) == (3, 1, 0)
    second.ready_replicas = 3
    assert first == second

"""The gRPC face over plain functions: statuses, details, readiness and draining, without Triton."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
import structlog
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status.rpc_status import from_call

from backdrop.v1 import generation_service_pb2 as pb
from backdrop.v1 import generation_service_pb2_grpc as stubs
from backdrop.v1 import info_service_pb2 as info_pb
from backdrop.v1 import info_service_pb2_grpc as info_stubs
from orchestrator.api.doors import Doors
from orchestrator.api.idempotency import Idempotency
from orchestrator.api.info import describe_server, describer
from orchestrator.api.parse import Parser
from orchestrator.api.server import Server
from orchestrator.api.service import Service
from orchestrator.cache.leases import Leases
from orchestrator.pipeline import Pipeline
from orchestrator.quotas import Limits as QuotaLimits
from orchestrator.quotas import LimitTable, Quotas
from orchestrator.scheduling import Batcher
from orchestrator.scheduling.admission import Admission, Limits
from orchestrator.stages.frames import PixelMemory
from orchestrator.telemetry.metrics import Metrics
from tests.messages import generate_request
from tests.orchestrator.api.test_idempotency import Store
from tests.orchestrator.small import DictCache, FunctionModels, capacity, server_settings, tokenizers
from tests.patience import PATIENCE_S
from tests.pictures import ellipse_mask, encoded, noisy_photo

PHOTO, MASK = encoded(noisy_photo(64, 64)), encoded(ellipse_mask(64, 64))


class Running:
    """A server over `FunctionModels`, not yet opened."""

    def __init__(self, folder: Path, doors: Doors | None = None, **settings: Any) -> None:
        self.settings = server_settings(folder, idempotency_ttl_s=60, **settings)
        self.repository, self.prompts = tokenizers(folder)
        self.models, self.admission, self.metrics = FunctionModels(), Admission(Limits(2, 0)), Metrics()
        self.store = Store()
        self.service = Service(self.metrics, doors=doors)
        self.server = Server(self.settings, self.service, doors)

    async def open(self, limits: QuotaLimits | None = None) -> None:
        pipeline = Pipeline(
            *(Batcher(self.models, lambda model: capacity(4, 16)), DictCache(), self.prompts, self.admission),
            PixelMemory(16.0),
            max_buffered_events=1000,
        )
        described = describe_server(self.settings, self.repository)
        self.service.open(
            Parser(described, self.repository, self.prompts),
            pipeline,
            Idempotency(self.store, Leases(None), 60),
            describer(described, lambda: 3),
            Quotas(
                LimitTable(limits or QuotaLimits(), {}),
                *(None, str),
                local_share=1.0,
                on_refused=self.metrics.quota_spent,
            ),
        )
        await self.server.ready()


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    running = Running(tmp_path)
    await running.server.start()
    yield running
    await running.server.stop(running.admission, 1.0)


@pytest.fixture
async def channel(running: Running) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{running.server.port}") as channel:
        yield channel


def generation(channel: grpc.aio.Channel) -> Any:
    return stubs.GenerationServiceStub(channel)  # type: ignore[no-untyped-call]  # generated without types


async def info_of(channel: grpc.aio.Channel) -> info_pb.GetInfoResponse:
    stub = info_stubs.InfoServiceStub(channel)  # type: ignore[no-untyped-call]  # generated without types
    answer: info_pb.GetInfoResponse = await stub.GetInfo(info_pb.GetInfoRequest())
    return answer


def request(**fields: Any) -> pb.GenerateRequest:
    values: dict[str, Any] = {"prompt": "a beach", "product": PHOTO, "mask": MASK, "steps": 2, "seed": 1, **fields}
    return generate_request(**values)


async def generated(channel: grpc.aio.Channel, message: pb.GenerateRequest) -> list[pb.GenerateResponse]:
    return [event async for event in generation(channel).Generate(message)]


def kinds(events: Sequence[pb.GenerateResponse]) -> list[str | None]:
    return [event.WhichOneof("event") for event in events]


def status_of(failed: Any) -> status_pb2.Status:
    """The status in a failed call's trailers, which look the same in grpc and grpc.aio."""
    status = from_call(failed)
    assert status is not None
    return status


async def failure(call: Any) -> tuple[grpc.StatusCode, error_details_pb2.ErrorInfo, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in call:
            pass
    status = status_of(caught.value)
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return caught.value.code(), info, status.message


async def health(channel: grpc.aio.Channel) -> int:
    answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
    return int(answer.status)


async def test_not_ready_until_the_models_are_checked(running: Running, channel: grpc.aio.Channel) -> None:
    assert await health(channel) == health_pb2.HealthCheckResponse.NOT_SERVING
    code, info, _ = await failure(generation(channel).Generate(request()))
    assert (code, info.reason) == (grpc.StatusCode.UNAVAILABLE, "NO_REPLICA")
    with pytest.raises(grpc.aio.AioRpcError):
        await info_of(channel)
    await running.open()
    assert await health(channel) == health_pb2.HealthCheckResponse.SERVING


async def test_a_request_runs_and_info_describes(running: Running, channel: grpc.aio.Channel) -> None:
    await running.open()
    events = await generated(channel, request())
    assert events[0].WhichOneof("event") == "accepted"
    assert events[0].accepted.row_steps == 4
    assert kinds(events)[-2:] == ["picture", "summary"]
    assert kinds(events).count("picture") == events[-1].summary.pictures == 1
    info = await info_of(channel)
    assert (info.default_pipeline, info.ready_replicas, info.pipelines[0].default_steps) == ("small", 3, 4)


async def test_bad_fields_and_malformed_bytes_are_invalid(running: Running, channel: grpc.aio.Channel) -> None:
    await running.open()
    code, info, _ = await failure(generation(channel).Generate(request(steps=0)))
    assert (code, info.reason, info.metadata["field"]) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "OUT_OF_RANGE",
        "sampling.steps",
    )
    assert len(info.metadata["request_id"]) == 32
    raw: Any = channel.unary_stream("/backdrop.v1.GenerationService/Generate", None, None)
    code, info, _ = await failure(raw(b"\xff\xff\xff"))
    assert (code, info.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_MESSAGE")


async def test_a_defect_is_internal_and_leaks_nothing(running: Running, channel: grpc.aio.Channel) -> None:
    await running.open()

    async def burst(model: str) -> None:
        raise RuntimeError("secret /path")

    running.models.before = burst
    code, info, message = await failure(generation(channel).Generate(request()))
    assert (code, info.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert info.metadata["request_id"] in message
    assert "secret" not in message


async def test_overload_says_when_to_come_back(running: Running, channel: grpc.aio.Channel) -> None:
    await running.open()
    gate = asyncio.Event()

    async def wait(model: str) -> None:
        await gate.wait()

    running.models.before = wait
    stub = generation(channel)
    busy = [stub.Generate(request(seed=seed)) for seed in range(2)]
    for call in busy:
        await anext(aiter(call))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in stub.Generate(request()):
            pass
    status = status_of(caught.value)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert any(detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR) for detail in status.details)
    gate.set()


async def test_a_tenant_beyond_its_quota_is_refused_by_name(running: Running, channel: grpc.aio.Channel) -> None:
    await running.open(QuotaLimits(concurrent_requests=1))
    gate = asyncio.Event()

    async def wait(model: str) -> None:
        await gate.wait()

    running.models.before = wait
    stub = generation(channel)
    busy = stub.Generate(request())
    await anext(aiter(busy))
    (quota,) = (await info_of(channel)).quotas
    assert (quota.name, quota.limit, quota.used) == ("concurrent_requests", 1, 1)
    for _ in range(2):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in stub.Generate(request()):
                pass
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        details = status_of(caught.value).details
        failure, retry = error_details_pb2.QuotaFailure(), error_details_pb2.RetryInfo()
        assert any(detail.Unpack(failure) for detail in details)
        assert any(detail.Unpack(retry) for detail in details)
        assert failure.violations[0].quota_id == "concurrent_requests"
        assert retry.retry_delay.ToTimedelta().total_seconds() > 0
    assert running.admission.running == 1, "a refused request leaves its place"
    refusals = running.metrics.registry.get_sample_value("backdrop_quota_refusals_total", {"quota": quota.name})
    assert refusals == 2
    gate.set()
    async for _ in busy:
        pass
    assert kinds(await generated(channel, request()))[-1] == "summary"


async def test_a_replay_is_not_counted(running: Running, channel: grpc.aio.Channel) -> None:
    await running.open(QuotaLimits(row_step_megapixels_per_minute=0.03))
    first = await generated(channel, request(idempotency_key="k"))
    code, info, _ = await failure(generation(channel).Generate(request()))
    assert (code, info.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUOTA_SPENT")
    assert kinds(await generated(channel, request(idempotency_key="k")))[-1] == "summary"
    assert first[-1].summary.usage.row_step_megapixels == pytest.approx(4 * 64 * 64 / 1e6)


async def test_a_caller_who_leaves_stops_the_work(running: Running, channel: grpc.aio.Channel) -> None:
    await running.open()

    async def slow(model: str) -> None:
        await asyncio.sleep(0.01)  # or everything is done before a busy machine has carried the cancel over

    running.models.before = slow
    call = generation(channel).Generate(request(steps=100))
    async for event in call:
        if event.WhichOneof("event") == "step":
            break
    call.cancel()
    async with asyncio.timeout(PATIENCE_S):
        while running.admission.running:  # noqa: ASYNC110  # nothing tells
            await asyncio.sleep(0.01)
    assert running.admission.running == 0
    rows = running.models.rows("denoiser")
    assert rows < 200
    await asyncio.sleep(0.05)
    assert running.models.rows("denoiser") == rows


async def test_draining_lets_running_requests_finish(running: Running, channel: grpc.aio.Channel) -> None:
    await running.open()
    gate = asyncio.Event()

    async def wait(model: str) -> None:
        if model == "denoiser":
            await gate.wait()

    running.models.before = wait
    stub = generation(channel)
    call = stub.Generate(request())
    await anext(aiter(call))
    stopping = asyncio.create_task(running.server.stop(running.admission, 10.0))
    await asyncio.sleep(0.05)
    code, info, _ = await failure(stub.Generate(request()))
    assert (code, info.reason) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")
    gate.set()
    last = [event async for event in call][-1]
    assert last.WhichOneof("event") == "summary"
    await stopping


async def test_metrics_count_what_happened(running: Running, channel: grpc.aio.Channel) -> None:
    await running.open()
    stub = generation(channel)
    async for _ in stub.Generate(request()):
        pass
    await failure(stub.Generate(request(steps=0)))
    value = running.metrics.registry.get_sample_value
    assert value("backdrop_requests_total", {"status": "OK"}) == 1
    assert value("backdrop_requests_total", {"status": "INVALID_ARGUMENT"}) == 1
    assert value("backdrop_row_steps_total", {"pipeline": "small"}) == 4
    assert value("backdrop_stage_seconds_count", {"stage": "denoise"}) == 1


async def test_style_is_told_to_logs_and_metrics_as_a_number_alone(running: Running, channel: grpc.aio.Channel) -> None:
    await running.open()
    picture = pb.StyleImage(image=encoded(noisy_photo(40, 30)), weight=2.0)
    message = request(pipeline="small-style", style_images=[picture, picture])
    with structlog.testing.capture_logs() as lines:
        events = await generated(channel, message)
    assert events[-1].summary.settings.image_scale == 0.75
    value = running.metrics.registry.get_sample_value
    assert value("backdrop_style_pictures_total", {"pipeline": "small-style"}) == 2
    # Lines of earlier refusals may be written now.
    (line,) = (each for each in lines if each.get("request_id") == events[0].accepted.request_id)
    assert {key: value for key, value in line.items() if "style" in key} == {"style_images": 2}


async def test_info_says_which_pipelines_take_style(running: Running, channel: grpc.aio.Channel) -> None:
    await running.open()
    info = await info_of(channel)
    takes = {pipeline.name: (pipeline.takes_style_images, pipeline.default_image_scale) for pipeline in info.pipelines}
    plain = dict.fromkeys(("small", "small-flow", "small-text", "small-bare", "small-large"), (False, 0.0))
    assert takes == {**plain, "small-style": (True, 0.75)}
    assert info.limits.max_style_images == 4
    flow = next(pipeline for pipeline in info.pipelines if pipeline.name == "small-flow")
    assert (list(flow.schedulers), flow.max_prompt_tokens) == ([pb.SCHEDULER_FLOW_EULER], 20)


async def test_pictures_come_one_by_one_and_the_summary_counts_them(
    running: Running, channel: grpc.aio.Channel
) -> None:
    await running.open()
    events = await generated(channel, request(variants=3, top_k=2))
    assert kinds(events)[-3:] == ["picture", "picture", "summary"]
    assert [event.picture.rank for event in events[-3:-1]] == [0, 1]
    assert all(event.picture.receipt.compared_pixels for event in events[-3:-1])
    summary = events[-1].summary
    assert (summary.pictures, summary.replayed) == (2, False)
    assert summary.request_id == events[0].accepted.request_id
    assert running.metrics.registry.get_sample_value("backdrop_pictures_total", {"pipeline": "small"}) == 2


async def test_words_make_pictures_without_receipt(running: Running, channel: grpc.aio.Channel) -> None:
    await running.open()
    message = generate_request("text_to_image", prompt="a beach", steps=2, pipeline="small-text")
    events = await generated(channel, message)
    (picture,) = (event.picture for event in events if event.WhichOneof("event") == "picture")
    assert not picture.HasField("receipt")
    assert (picture.width, picture.height) == (64, 64)
    assert events[-1].summary.settings.task == "text_to_image"
    assert events[-1].summary.model_fingerprints["denoiser_text"] == "sha256:denoiser_text"


async def test_a_second_call_with_a_key_gets_the_same_pictures(running: Running, channel: grpc.aio.Channel) -> None:
    await running.open()
    message = request(variants=3, top_k=2, idempotency_key="k")
    first = await generated(channel, message)
    rows = running.models.rows("denoiser")
    second = await generated(channel, message)
    assert kinds(second) == ["accepted", "picture", "picture", "summary"]
    assert [event.picture for event in second[1:-1]] == [event.picture for event in first[-3:-1]]
    assert second[-1].summary.replayed
    assert second[-1].summary.request_id == first[0].accepted.request_id != second[0].accepted.request_id
    assert running.models.rows("denoiser") == rows, "nothing was computed again"
    code, info, _ = await failure(generation(channel).Generate(request(idempotency_key="k")))
    assert (code, info.reason) == (grpc.StatusCode.ALREADY_EXISTS, "IDEMPOTENCY_KEY_REUSED")


async def test_a_result_that_lost_a_picture_is_made_again(running: Running, channel: grpc.aio.Channel) -> None:
    await running.open()
    message = request(variants=2, top_k=2, idempotency_key="k")
    first = await generated(channel, message)
    del running.store.data[next(name for name in running.store.data if name.endswith(":1"))]
    second = await generated(channel, message)
    assert not second[-1].summary.replayed
    assert [event.picture for event in second[-3:-1]] == [event.picture for event in first[-3:-1]]

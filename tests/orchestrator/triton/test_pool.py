"""The pool against servers that fail in every way we know of."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping, Sequence

import grpc
import numpy as np
import numpy.typing as npt
import pytest

from backdrop.errors import InternalError, OverloadedError, Reason, UnavailableError
from orchestrator.triton import CallObserver, PoolOptions, TensorSpec, TritonPool
from tests.orchestrator.triton.fake_triton import FakeTriton, Fault, eventually, serving
from tests.patience import PATIENCE_S

X = np.arange(4, dtype=np.float32).reshape(2, 2)
ROW = X[:1]
UNAVAILABLE, INTERNAL = grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL
STUB_DEAD = (INTERNAL, "Failed to process the request(s) for model 'double_0', message: Stub process is not healthy.")
STOPPING = (UNAVAILABLE, "Server is stopping, scheduler for model has stopped accepting new inference requests")
QUEUE_FULL = (UNAVAILABLE, "Exceeds maximum queue size")
QUEUE_TIMEOUT = (UNAVAILABLE, "Request timeout expired")


class Calls:
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str, int, str]] = []
        self.gone: list[str] = []

    def on_call(self, model: str, replica: str, rows: int, seconds: float, outcome: str) -> None:
        assert seconds >= 0
        self.heard.append((model, replica, rows, outcome))

    def on_gone(self, replica: str) -> None:
        self.gone.append(replica)

    @property
    def outcomes(self) -> list[str]:
        return [outcome for *_, outcome in self.heard]


@contextlib.asynccontextmanager
async def pool_on(
    servers: Sequence[FakeTriton], observer: CallObserver | None = None, **options: float
) -> AsyncIterator[TritonPool]:
    options = {"probe_interval_s": 0.05, "probe_timeout_s": 0.3, "patience_s": 2.0, "step_timeout_s": 1.0} | options
    pool = TritonPool([server.address for server in servers], PoolOptions(**options), observer=observer)
    await pool.start()
    try:
        yield pool
    finally:
        await pool.close()


async def test_arrays_go_in_and_come_out() -> None:
    calls = Calls()
    async with serving(1) as [server], pool_on([server], observer=calls) as pool:
        outputs = await pool.infer("double", {"x": X}, request_id="abc")
        assert pool.ready_replicas == 1
    assert outputs["y"].dtype == np.float32
    np.testing.assert_array_equal(outputs["y"], 2 * X)
    assert server.request_ids == ["abc"]
    assert calls.heard == [("double", server.address, 2, "ok")]


@pytest.mark.parametrize(
    "inputs",
    [{}, {"x": np.float32(1)}, {"x": X[:0]}, {"x": X, "t": X[:1]}, {"x": X.astype(np.float64)}],
    ids=["none", "scalar", "no rows", "different rows", "float64"],
)
async def test_what_is_not_a_batch_is_refused_without_a_call(inputs: Mapping[str, npt.ArrayLike]) -> None:
    async with serving(1) as [server], pool_on([server]) as pool:
        with pytest.raises(ValueError, match="input"):
            await pool.infer("double", {name: np.asarray(value) for name, value in inputs.items()})
    assert server.seen == 0


async def test_metadata_comes_without_the_batch_dimension() -> None:
    async with serving(1) as [server], pool_on([server]) as pool:
        metadata = await pool.metadata("double")
        assert metadata.inputs == (TensorSpec("x", "FP32", (2,)),)
        assert metadata.outputs == (TensorSpec("y", "FP32", (-1,)),)
        assert (metadata.max_batch_size, metadata.fingerprint) == (8, "sha256:1")
        with pytest.raises(UnavailableError):
            await pool.metadata("triple")


async def test_rows_spread_over_the_least_loaded_replicas() -> None:
    async with serving(2) as servers, pool_on(servers) as pool:
        for server in servers:
            server.delay_s = 0.1
        big = asyncio.create_task(pool.infer("double", {"x": np.ones((6, 2), np.float32)}))
        await asyncio.sleep(0.01)
        await asyncio.gather(*(pool.infer("double", {"x": ROW}) for _ in range(5)), big)
        assert sorted(server.seen for server in servers) == [1, 5]
        for server in servers:
            server.delay_s = 0
        for _ in range(10):
            await pool.infer("double", {"x": ROW})
        assert sorted(server.seen for server in servers) == [6, 10]


@pytest.mark.parametrize("fault", [STUB_DEAD, STOPPING, (UNAVAILABLE, "Socket closed"), (INTERNAL, "out of memory")])
async def test_a_failed_replica_is_left_out_and_used_again_when_it_has_proved_itself(fault: Fault) -> None:
    calls = Calls()
    async with serving(2) as servers, pool_on(servers, observer=calls) as pool:
        for _ in range(2):
            await pool.infer("double", {"x": ROW})
        bad = servers[0]
        bad.fault = fault
        before = len(calls.heard)
        for _ in range(6):
            np.testing.assert_array_equal((await pool.infer("double", {"x": X}))["y"], 2 * X)
        # It says that it is ready all the while; the proving inference knows better.
        assert [outcome for _, replica, _, outcome in calls.heard[before:] if replica == bad.address] == [
            next(outcome for outcome in calls.outcomes if outcome != "ok")
        ]
        await eventually(lambda: "probe" in bad.request_ids)
        assert pool.ready_replicas == 1
        bad.fault = None
        await eventually(lambda: pool.ready_replicas == 2)
        seen = bad.seen
        for _ in range(4):
            await pool.infer("double", {"x": ROW})
        assert bad.seen > seen


async def test_a_hung_inference_costs_one_step_timeout() -> None:
    calls = Calls()
    async with serving(2) as servers, pool_on(servers, step_timeout_s=1.0, observer=calls) as pool:
        for _ in range(2):
            await pool.infer("double", {"x": ROW})
        servers[0].fault = "hang"
        await asyncio.gather(*(pool.infer("double", {"x": ROW}) for _ in range(4)))
        assert servers[0].cancelled >= 1
        assert set(calls.outcomes) == {"ok", "timeout"}
        assert calls.outcomes.count("timeout") == 2, "half of the calls hang there, and none of them twice"
        assert pool.ready_replicas == 1


async def test_a_stopped_server_is_ejected_by_its_probe_and_its_calls_are_made_elsewhere() -> None:
    calls = Calls()
    async with serving(2) as servers, pool_on(servers, calls, step_timeout_s=30, probe_timeout_s=0.2) as pool:
        for _ in range(2):
            await pool.infer("double", {"x": ROW})
        servers[0].stopped = True
        began = time.monotonic()
        await asyncio.gather(*(pool.infer("double", {"x": ROW}) for _ in range(4)))
        # Nowhere near the step timeout: the probe found it.
        assert time.monotonic() - began < PATIENCE_S / 2
        assert "hung" in calls.outcomes
        assert pool.ready_replicas == 1
        servers[0].stopped = False
        await eventually(lambda: pool.ready_replicas == 2)


async def test_a_busy_server_that_answers_late_once_stays() -> None:
    async with serving(1) as [server], pool_on([server], probe_timeout_s=0.2) as pool:
        server.stopped = True
        await asyncio.sleep(0.3)
        server.stopped = False
        await asyncio.sleep(0.1)
        assert pool.ready_replicas == 1


async def test_a_killed_server_costs_its_calls_nothing_but_time() -> None:
    async with serving(2) as servers, pool_on(servers) as pool:
        for server in servers:
            server.delay_s = 0.2
        calls = [asyncio.create_task(pool.infer("double", {"x": ROW})) for _ in range(4)]
        await asyncio.sleep(0.1)
        await servers[0].kill()
        for outputs in await asyncio.gather(*calls):
            np.testing.assert_array_equal(outputs["y"], 2 * ROW)
        await servers[0].start()
        await eventually(lambda: pool.ready_replicas == 2)


async def test_the_only_replica_is_waited_for_while_it_restarts() -> None:
    async with serving(1) as [server], pool_on([server]) as pool:
        await pool.infer("double", {"x": ROW})
        await server.kill()
        call = asyncio.create_task(pool.infer("double", {"x": X}))
        await asyncio.sleep(0.3)
        assert not call.done()
        await server.start()
        np.testing.assert_array_equal((await call)["y"], 2 * X)


async def test_no_replica_is_said_when_patience_ends_and_in_our_words() -> None:
    async with serving(1) as [server]:
        await server.kill()
        async with pool_on([server], patience_s=0.2) as pool:
            assert pool.ready_replicas == 0
            with pytest.raises(UnavailableError) as caught:
                await pool.infer("double", {"x": ROW})
            with pytest.raises(UnavailableError):
                await pool.metadata("double")
        await server.start()
    assert caught.value.reason is Reason.NO_REPLICA
    assert caught.value.retry_after_s == 1.0
    assert "127.0.0.1" not in str(caught.value)


async def test_a_full_queue_sends_the_call_elsewhere_and_ejects_nobody() -> None:
    calls = Calls()
    async with serving(2) as servers, pool_on(servers, observer=calls) as pool:
        servers[0].fault = QUEUE_FULL
        for _ in range(4):
            await pool.infer("double", {"x": ROW})
        assert pool.ready_replicas == 2
        assert calls.outcomes.count("queue_full") >= 1


@pytest.mark.parametrize(("fault", "attempts"), [(QUEUE_FULL, 5), (QUEUE_TIMEOUT, 1)])
async def test_full_queues_everywhere_are_overload(fault: Fault, attempts: int) -> None:
    async with serving(1) as [server], pool_on([server]) as pool:
        server.fault = fault
        with pytest.raises(OverloadedError) as caught:
            await pool.infer("double", {"x": ROW})
        assert caught.value.reason is Reason.QUEUE_FULL
        assert caught.value.retry_after_s is not None
        assert server.seen == attempts
        assert pool.ready_replicas == 1


@pytest.mark.promise("bad-output")
@pytest.mark.parametrize("fault", ["nan", "rows", "empty", "missing"])
async def test_an_unusable_output_is_never_returned_and_the_replica_is_suspected(fault: str) -> None:
    calls = Calls()
    async with serving(2) as servers, pool_on(servers, observer=calls) as pool:
        await pool.metadata("double")
        for _ in range(2):
            await pool.infer("double", {"x": ROW})
        for server in servers:
            server.fault = fault
        with pytest.raises(InternalError) as caught:
            await pool.infer("double", {"x": X})
        assert caught.value.reason is Reason.MODEL_FAILED
        assert calls.outcomes == ["ok", "ok", "bad_output"]
        await eventually(lambda: pool.ready_replicas == 1)
        for server in servers:
            server.fault = None
        await eventually(lambda: pool.ready_replicas == 2)


async def test_one_bad_request_does_not_put_the_only_replica_out_of_service() -> None:
    async with serving(1) as [server], pool_on([server], patience_s=0.05) as pool:
        await pool.infer("double", {"x": ROW})
        server.fault, server.only_rows = "nan", 2
        for _ in range(3):
            with pytest.raises(InternalError):
                await pool.infer("double", {"x": X})
            await pool.infer("double", {"x": ROW})


@pytest.mark.parametrize(
    ("fault", "attempts"),
    [((INTERNAL, "onnx runtime error 2: /opt/secret"), 2), ((grpc.StatusCode.INVALID_ARGUMENT, "unexpected shape"), 1)],
)
async def test_a_model_that_fails_everywhere_is_not_asked_for_ever(fault: Fault, attempts: int) -> None:
    async with serving(2) as servers, pool_on(servers) as pool:
        for server in servers:
            server.fault = fault
        with pytest.raises(InternalError) as caught:
            await pool.infer("double", {"x": ROW})
        assert caught.value.reason is Reason.MODEL_FAILED
        assert "secret" not in str(caught.value)
        assert sum(server.seen for server in servers) == attempts


async def test_a_cancelled_call_ends_at_the_server_by_itself_and_counts_until_then() -> None:
    calls = Calls()
    async with serving(1) as [server], pool_on([server], step_timeout_s=30, observer=calls) as pool:
        server.delay_s = 0.5
        call = asyncio.create_task(pool.infer("double", {"x": ROW}))
        await server.began.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert calls.outcomes == ["cancelled"]
        (replica,) = pool._fleet.replicas.values()
        assert replica.outstanding == 1
        await eventually(lambda: replica.outstanding == 0)
        assert (server.cancelled, pool.ready_replicas) == (0, 1)


async def test_cancelling_a_call_that_waits_for_a_replica_leaves_nothing_behind() -> None:
    async with serving(1) as [server]:
        await server.kill()
        async with pool_on([server], patience_s=30) as pool:
            tasks = len(asyncio.all_tasks())
            calls = [asyncio.create_task(pool.infer("double", {"x": ROW})) for _ in range(50)]
            await asyncio.sleep(0.05)
            for call in calls:
                call.cancel()
            results = await asyncio.gather(*calls, return_exceptions=True)
            assert all(isinstance(result, asyncio.CancelledError) for result in results)
            # A probe may be under way now that was not before.
            assert len(asyncio.all_tasks()) <= tasks + 2
        await server.start()


async def test_a_replica_with_another_fingerprint_stays_out() -> None:
    async with serving(2) as servers, pool_on(servers) as pool:
        await pool.metadata("double")
        await servers[1].kill()
        servers[1].fingerprint = "sha256:2"
        await eventually(lambda: pool.ready_replicas == 1)
        await servers[1].start()
        await asyncio.sleep(0.8)
        assert pool.ready_replicas == 1
        servers[1].fingerprint = "sha256:1"
        await eventually(lambda: pool.ready_replicas == 2)


async def test_a_server_that_is_not_ready_gets_no_calls() -> None:
    async with serving(2) as servers:
        servers[0].ready = False
        async with pool_on(servers) as pool:
            for _ in range(4):
                await pool.infer("double", {"x": ROW})
            assert (servers[0].seen, pool.ready_replicas) == (0, 1)


async def test_closing_ends_calls_in_flight_at_once() -> None:
    server = FakeTriton()
    await server.start()
    async with pool_on([server], patience_s=30, step_timeout_s=30) as pool:
        server.fault = "hang"
        call = asyncio.create_task(pool.infer("double", {"x": ROW}))
        await server.began.wait()
    with pytest.raises(UnavailableError):
        async with asyncio.timeout(PATIENCE_S / 2):
            await call
    await server.kill()


async def test_forty_kills_in_a_row_lose_no_call() -> None:
    async with serving(3) as servers, pool_on(servers, patience_s=10) as pool:
        stop = asyncio.Event()

        async def kill_in_turn() -> None:
            for i in range(40):
                await servers[i % 3].kill()
                await asyncio.sleep(0.01)
                await servers[i % 3].start()
                await eventually(lambda: pool.ready_replicas >= 2)
            stop.set()

        async def call() -> int:
            done = 0
            while not stop.is_set():
                np.testing.assert_array_equal((await pool.infer("double", {"x": X}))["y"], 2 * X)
                done += 1
                await asyncio.sleep(0.005)
            return done

        _, *done = await asyncio.gather(kill_in_turn(), call(), call())
        assert min(done) > 20

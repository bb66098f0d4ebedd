"""Replicas that serve some of the models: calls go where their model is, and what is missing is noticed."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from backdrop.errors import UnavailableError
from tests.orchestrator.triton.fake_triton import eventually, serving
from tests.orchestrator.triton.test_pool import Calls, pool_on

ROW = np.ones((1, 2), np.float32)


async def test_calls_go_to_the_replicas_that_serve_their_model() -> None:
    calls = Calls()
    async with serving(3) as servers, pool_on(servers, observer=calls) as pool:
        encoder, *denoisers = servers
        encoder.models = {"encoder"}
        for denoiser in denoisers:
            denoiser.models = {"denoiser"}
        for model in ("encoder", "denoiser"):
            assert (await pool.metadata(model)).name == model
        await asyncio.gather(*(pool.infer(model, {"x": ROW}) for model in ("encoder", "denoiser") for _ in range(6)))
        assert {(model, replica) for model, replica, *_ in calls.heard} == {
            ("encoder", encoder.address),
            ("denoiser", denoisers[0].address),
            ("denoiser", denoisers[1].address),
        }
        assert set(calls.outcomes) == {"ok"}, "no replica was called for a model that it lacks"


async def test_the_scarcest_model_says_how_many_replicas_are_ready() -> None:
    async with serving(3) as servers, pool_on(servers) as pool:
        servers[0].models = {"encoder"}
        for server in servers[1:]:
            server.models = {"denoiser"}
        assert pool.ready_replicas == 3, "nothing was asked for yet"
        for model in ("encoder", "denoiser"):
            await pool.metadata(model)
        assert pool.ready_replicas == 1
        await servers[0].kill()
        await eventually(lambda: pool.ready_replicas == 0)
        assert pool.ready_replicas == 0
        await pool.infer("denoiser", {"x": ROW})


async def test_a_call_waits_for_a_replica_of_its_model_and_then_says_which_is_missing() -> None:
    async with serving(2) as servers, pool_on(servers, patience_s=0.3) as pool:
        servers[0].models = {"encoder"}
        servers[1].models = {"denoiser"}
        for model in ("encoder", "denoiser"):
            await pool.metadata(model)
        await servers[1].kill()
        with pytest.raises(UnavailableError, match="denoiser"):
            await pool.infer("denoiser", {"x": ROW})
        assert servers[0].seen == 0


async def test_a_model_that_is_loaded_later_is_found() -> None:
    async with serving(2) as servers, pool_on(servers) as pool:
        servers[0].models = {"encoder", "denoiser"}
        servers[1].models = {"encoder"}
        for model in ("encoder", "denoiser"):
            await pool.metadata(model)
        assert pool.ready_replicas == 1
        servers[1].models = {"encoder", "denoiser"}
        await eventually(lambda: pool.ready_replicas == 2)


async def test_a_waiting_call_hears_of_a_model_that_is_loaded() -> None:
    async with serving(1) as [server], pool_on([server]) as pool:
        await pool.metadata("double")
        server.models = set()
        waiting = asyncio.create_task(pool.infer("double", {"x": ROW}))
        await eventually(lambda: server.seen > 0)
        await asyncio.sleep(0.1)
        server.models = {"double"}
        assert (await waiting)["y"].tolist() == [[2, 2]]


async def test_the_wanted_fingerprint_is_taken_whoever_answers_first() -> None:
    async with serving(2) as servers, pool_on(servers) as pool:
        old, new = servers
        new.fingerprint = "sha256:2"
        # If no replica has it, none is excluded: one that has it may come later.
        assert (await pool.metadata("double", "sha256:3")).fingerprint in ("sha256:1", "sha256:2")
        assert pool.ready_replicas == 2
        assert (await pool.metadata("double", "sha256:2")).fingerprint == "sha256:2"
        await eventually(lambda: pool.ready_replicas == 1)
        for _ in range(4):
            await pool.infer("double", {"x": ROW})
        assert (old.seen, new.seen) == (0, 4)


async def test_a_hung_replica_keeps_its_calls_where_no_other_serves_its_model() -> None:
    async with serving(2) as servers, pool_on(servers, step_timeout_s=5) as pool:
        servers[0].models = {"encoder"}
        servers[1].models = {"denoiser"}
        for model in ("encoder", "denoiser"):
            await pool.metadata(model)
        servers[1].delay_s = 1.5
        call = asyncio.create_task(pool.infer("denoiser", {"x": ROW}))
        await servers[1].began.wait()
        servers[1].stopped = True
        await eventually(lambda: pool.ready_replicas == 0)
        # Still stopped for its probes: a late answer is better than none.
        assert (await call)["y"].tolist() == [[2, 2]]

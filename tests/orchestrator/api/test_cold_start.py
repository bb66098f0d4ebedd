"""Without any replica, calls are refused at once with the time to come back; callers who wait get their pictures."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path

import pytest

import backdrop
from backdrop.errors import UnavailableError
from orchestrator.api import cold_start
from orchestrator.api.cold_start import ColdStart
from tests.k8s.gateway.functions import Orchestrator


class Site:
    """Replicas and a clock that tests set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, expected_s: float = 300.0) -> None:
        self.replicas, self.now, self.refusals = 0, 1000.0, 0
        monkeypatch.setattr("orchestrator.api.cold_start.time.monotonic", lambda: self.now)
        self.cold = ColdStart(expected_s, lambda: self.replicas, self._count)

    def _count(self) -> None:
        self.refusals += 1

    def refusal(self) -> float:
        """When the refused call may come back."""
        with pytest.raises(UnavailableError) as caught:
            self.cold.check()
        assert caught.value.retry_after_s is not None
        return caught.value.retry_after_s


def test_a_call_is_told_what_remains_of_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(monkeypatch)
    assert site.refusal() == 300.0
    site.now += 100
    assert site.refusal() == 200.0
    site.now += 195
    assert site.refusal() == 10.0
    site.replicas = 1
    site.cold.check()
    assert site.refusals == 3


def test_a_start_that_takes_too_long_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(monkeypatch)
    assert not site.cold.expects_replica
    site.refusal()
    assert not site.cold.expects_replica
    site.now += 299
    site.refusal()
    site.now += 2
    assert site.cold.expects_replica
    assert site.refusal() == 10.0
    assert site.refusals == 2


def test_the_next_start_is_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(monkeypatch)
    site.refusal()
    # GPUs came and went, and this orchestrator had no call meanwhile.
    site.now += 3600
    assert site.refusal() == 300.0
    site.replicas = 1
    assert not site.cold.expects_replica
    site.replicas = 0
    site.now += 10
    assert site.refusal() == 300.0


def test_calls_are_what_an_autoscaler_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(monkeypatch)
    assert site.cold.idle_s == math.inf
    site.refusal()
    site.now += 7
    assert site.cold.idle_s == 7


def test_without_the_setting_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(monkeypatch, 0.0)
    site.cold.check()
    assert site.cold.expects_replica
    assert not site.cold.is_cold


async def test_a_caller_who_waits_gets_the_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cold_start, "_LEAST_RETRY_AFTER_S", 0.05)
    replicas = 0
    orchestrator = Orchestrator(tmp_path, 0.0, ColdStart(0.3, lambda: replicas))
    await orchestrator.server.start()
    try:
        async with backdrop.AsyncClient(orchestrator.endpoint, retries=0) as client:
            assert (await client.info()).tasks
            with pytest.raises(UnavailableError, match=r"try again in 0\.\d s"):
                await client.generate(backdrop.TextToImage(), prompt="a beach", steps=1)
            assert orchestrator.admission.held_bytes == 0
        async with backdrop.AsyncClient(orchestrator.endpoint) as client:
            waiting = asyncio.ensure_future(_made(client))
            await asyncio.sleep(0.2)
            assert not waiting.done()
            replicas = 1
            await waiting
    finally:
        await orchestrator.close()


async def _made(client: backdrop.AsyncClient) -> None:
    await client.generate(backdrop.TextToImage(), prompt="a beach", steps=1)

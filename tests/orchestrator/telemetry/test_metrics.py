"""Gauges are read in the event loop, also while it is busy, and series are bounded."""

from __future__ import annotations

import asyncio
import time

from prometheus_client import generate_latest

from orchestrator.telemetry.metrics import Metrics, RequestCounts


def scrape(metrics: Metrics) -> str:
    return generate_latest(metrics.registry).decode()


async def test_what_changes_in_the_loop_is_read_in_the_loop() -> None:
    metrics, rows = Metrics(), {str(number) for number in range(5000)}
    metrics.watch("rows", "Rows", lambda: sum(len(row) for row in rows))

    async def change() -> None:
        for number in range(5000, 10_000):
            rows.add(str(number))
            rows.discard(str(number - 5000))
            if number % 50 == 0:
                await asyncio.sleep(0)

    async def read() -> None:
        for _ in range(20):
            assert "rows " in await asyncio.to_thread(scrape, metrics)

    await asyncio.gather(change(), read())


async def test_a_busy_loop_answers_with_the_values_before() -> None:
    metrics, value = Metrics(), [1.0]
    metrics.watch("value", "A value", lambda: value[0])
    assert "value 1.0" in await asyncio.to_thread(scrape, metrics)
    value[0] = 2.0
    reading = asyncio.create_task(asyncio.to_thread(scrape, metrics))
    await asyncio.sleep(0)
    time.sleep(1.2)  # noqa: ASYNC251  # a busy event loop
    assert "value 1.0" in await reading
    assert "value 2.0" in await asyncio.to_thread(scrape, metrics)


async def test_a_gauge_has_a_value_for_each_label() -> None:
    metrics = Metrics()
    metrics.watch("rows", "Rows", lambda: {"a": 1.0, "b": 0.0}, "model")
    assert 'rows{model="a"} 1.0\nrows{model="b"} 0.0' in await asyncio.to_thread(scrape, metrics)


def test_a_failure_names_its_replica_until_the_replica_is_gone() -> None:
    metrics = Metrics()
    metrics.on_call("denoiser", "10.0.0.1:8001", 2, 0.1, "ok")
    metrics.on_call("denoiser", "10.0.0.1:8001", 2, 0.1, "timeout")
    assert 'backdrop_replica_failures_total{outcome="timeout",replica="10.0.0.1:8001"} 1.0' in scrape(metrics)
    metrics.on_gone("10.0.0.1:8001")
    assert "10.0.0.1" not in scrape(metrics)


def test_usage_is_counted_for_each_tenant_and_the_number_of_tenants_is_bounded() -> None:
    metrics = Metrics()
    for number in range(250):
        metrics.request("OK", 1.0, f"tenant-{number}")
    text = scrape(metrics)
    assert 'backdrop_tenant_requests_total{status="OK",tenant="tenant-0"} 1.0' in text
    assert 'backdrop_tenant_requests_total{status="OK",tenant="(others)"} 50.0' in text
    assert "tenant-249" not in text
    metrics.finished(RequestCounts("base", "tenant-0", 40, 0, 2.5, 1, 0), {})
    assert 'backdrop_tenant_row_step_megapixels_total{tenant="tenant-0"} 2.5' in scrape(metrics)

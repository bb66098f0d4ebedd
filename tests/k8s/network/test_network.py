"""A network that fails between real processes: a link is cut, packets are lost, a host dies, and no caller notices."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from local import triton
from local.errors import StartError
from tests.k8s.network.site import ORCHESTRATORS, TRITONS, Site
from tests.k8s.network.switch import CannotError, Switch

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(420)]
LOSS = 0.05
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    switch = Switch(f"bd{os.getpid() % 100000}", seed=11)
    running = Site(switch, tmp_path_factory.mktemp("network"))
    try:
        triton.find_wheel()
        for name in (*TRITONS, *ORCHESTRATORS, "caller"):
            switch.add(name)
        switch.start()
        running.start()
        yield running
    except (CannotError, StartError) as reason:
        pytest.skip(f"no network namespaces here: {reason}")
    finally:
        running.stop()
        switch.stop()


@pytest.fixture(scope="module")
def undisturbed(site: Site) -> dict[int, str]:
    """The digest of each seed's picture on a network without faults."""
    with site.calls("orchestrator-0") as calls:
        wait_until(lambda: site.switch.delivered["caller"] > 20)
    assert errors(calls) == []
    assert len(calls) >= 3
    return {call["seed"]: call["digest"] for call in calls}


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def wait_packets(site: Site, host: str, count: int = 100) -> None:
    """Waits until the host has received `count` more packets: it is in use."""
    before = site.switch.delivered[host]
    wait_until(lambda: site.switch.delivered[host] >= before + count)


def errors(calls: list[dict[str, Any]]) -> list[str]:
    return [call["error"] for call in calls if "error" in call]


def differing(calls: list[dict[str, Any]], expected: dict[int, str]) -> list[int]:
    return [call["seed"] for call in calls if call.get("digest") != expected[call["seed"]]]


@contextlib.contextmanager
def left_out(site: Site, name: str) -> Iterator[None]:
    """Waits, at the end of the block, until every orchestrator has taken the replica out of service since its start."""
    address = f"{site.switch.hosts[name].address}:8001"

    def times(orchestrator: str) -> int:
        return sum(line.get("event") == "replica out" and line["replica"] == address for line in site.log(orchestrator))

    before = {orchestrator: times(orchestrator) for orchestrator in ORCHESTRATORS}
    yield
    wait_until(lambda: all(times(orchestrator) > count for orchestrator, count in before.items()))


def test_a_link_that_is_cut_costs_nobody_anything(site: Site, undisturbed: dict[int, str]) -> None:
    with site.calls(*ORCHESTRATORS) as calls:
        wait_packets(site, "triton-0")
        with left_out(site, "triton-0"):
            site.switch.cut.add("triton-0")
        wait_packets(site, "caller", 20)
        site.switch.cut.discard("triton-0")
        wait_packets(site, "triton-0")
    assert errors(calls) == []
    assert differing(calls, undisturbed) == []


def test_lost_packets_cost_time_and_nothing_else(site: Site, undisturbed: dict[int, str]) -> None:
    lost = site.switch.lost
    site.switch.loss = LOSS
    try:
        with site.calls(*ORCHESTRATORS) as calls:
            wait_until(lambda: site.switch.lost - lost > 150)
    finally:
        site.switch.loss = 0.0
    assert errors(calls) == []
    assert differing(calls, undisturbed) == []


def test_a_host_that_dies_costs_a_step(site: Site, undisturbed: dict[int, str]) -> None:
    with site.calls(*ORCHESTRATORS) as calls:
        wait_packets(site, "triton-2")
        with left_out(site, "triton-2"):
            site.kill("triton-2")
        wait_packets(site, "caller", 20)
    assert errors(calls) == []
    assert differing(calls, undisturbed) == []


def test_an_orchestrator_that_ends_is_replaced_by_the_other(site: Site, undisturbed: dict[int, str]) -> None:
    with site.calls(*ORCHESTRATORS) as calls:
        wait_packets(site, "orchestrator-0")
        # Only the process ends: its host still answers with resets, so callers learn of it at once.
        process = site.processes["orchestrator-0"]
        process.kill()
        process.wait()
        wait_packets(site, "orchestrator-1")
    assert errors(calls) == []
    assert differing(calls, undisturbed) == []

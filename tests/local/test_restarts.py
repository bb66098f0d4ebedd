"""A service that dies is started again on its port after a growing delay; the fifth death in a row ends the cluster."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backdrop import AsyncClient, Background
from local import redis
from local.errors import DiedTooOftenError
from local.restarts import Restarter, RestartPolicy, ending
from local.supervisor import Service, Supervisor
from tests.k8s.replay.askers import asking
from tests.local import small

WAIT_S = 120.0
POLICY = RestartPolicy(first_delay_s=1.0, longest_delay_s=3.0, stable_s=60.0, most_deaths=4)
REQUEST: dict[str, Any] = {"prompt": "a beach", "pipeline": "backdrop-fast", "steps": 2, "variants": 1}


class Clock:
    """Seconds that pass when the test says so."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Services:
    """A supervisor with small services, and what a restarter says of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Clock()
        self.supervisor = Supervisor()
        self.reports: list[str] = []

    def start(self, *names: str) -> Restarter:
        """Starts services and looks after them."""
        for name in names:
            self.supervisor.start(self.service(name))
        return Restarter(self.supervisor, self.reports.append, POLICY, self.clock)

    def service(self, name: str) -> Service:
        """A service that sleeps; once the file `NAME.broken` exists, every start of it fails."""
        flag = self.folder / f"{name}.broken"
        code = f"import os, sys, time; os.path.exists({str(flag)!r}) and sys.exit('broken') or time.sleep(600)"
        return Service(
            name=name,
            command=(sys.executable, "-c", code),
            endpoint=f"{name}:1",
            log=self.folder / f"{name}.log",
            ready=lambda: not flag.exists(),
            grace_s=1.0,
        )

    def kill(self, name: str) -> None:
        """Kills a service and waits until its guard has ended too."""
        child = self.supervisor.children[name]
        child.signal(signal.SIGKILL)
        child.guard.wait(WAIT_S)

    def broken(self, name: str) -> None:
        """Every further start of this service fails."""
        (self.folder / f"{name}.broken").touch()

    def wait_exit(self, name: str) -> None:
        """Waits until a service has ended by itself."""
        self.supervisor.children[name].guard.wait(WAIT_S)


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    running = Services(tmp_path)
    yield running
    running.supervisor.stop()


def test_it_starts_again_after_its_delay_and_the_others_run_on(services: Services) -> None:
    restarter = services.start("one", "two")
    before = {name: child.pid for name, child in services.supervisor.children.items()}
    assert not restarter.look()
    services.clock.now += 5.0
    services.kill("one")
    assert not restarter.look()
    (death,) = services.reports
    assert death == (
        f"one died after 5.0 s: killed by SIGKILL; its log is {services.folder / 'one.log'}. "
        "It starts again in 1 s (death 1 of at most 4 in a row)."
    )
    services.clock.now += 0.9
    assert not restarter.look()
    assert services.supervisor.children["one"].exit_code is not None, "it waits"

    services.clock.now += 0.2
    assert not restarter.look(), "it runs, and nobody has asked yet whether it is ready"
    assert restarter.look()
    assert services.reports[1] == "one is ready again at one:1, 1.1 s after it died."
    after = {name: child.pid for name, child in services.supervisor.children.items()}
    assert after["two"] == before["two"]
    assert after["one"] != before["one"]
    assert list(after) == ["one", "two"], "the order in which they are stopped"


def test_two_that_die_at_once_do_not_wait_for_each_other(services: Services) -> None:
    restarter = services.start("one", "two")
    services.kill("one")
    services.kill("two")
    restarter.look()
    services.clock.now += 1.0
    restarter.look()
    assert restarter.look()
    assert [report.split()[:4] for report in services.reports[2:]] == [
        ["one", "is", "ready", "again"],
        ["two", "is", "ready", "again"],
    ]


def test_the_delay_doubles_up_to_its_limit_and_the_last_death_ends_it(services: Services) -> None:
    restarter = services.start("one", "two")
    services.broken("one")
    services.kill("one")
    restarter.look()
    for _ in range(POLICY.most_deaths - 2):
        services.clock.now += POLICY.longest_delay_s
        restarter.look()
        services.wait_exit("one")
        restarter.look()
    assert [report.partition("starts again in ")[2] for report in services.reports] == [
        "1 s (death 1 of at most 4 in a row).",
        "2 s (death 2 of at most 4 in a row).",
        "3 s (death 3 of at most 4 in a row).",
    ]
    assert "one died before it was ready: exit code 1; its log is" in services.reports[1]
    services.clock.now += POLICY.longest_delay_s
    restarter.look()
    services.wait_exit("one")
    with pytest.raises(DiedTooOftenError) as caught:
        restarter.look()
    words = str(caught.value)
    assert "one died before it was ready: exit code 1. It died 4 times in a row, so the cluster stops." in words
    assert f"{services.folder / 'one.log'} ends with:\n    broken" in words


def test_a_service_that_ran_long_enough_starts_a_new_count(services: Services) -> None:
    restarter = services.start("one")
    for uptime_s, count in ((1.0, 1), (1.0, 2), (POLICY.stable_s, 1), (1.0, 2)):
        services.clock.now += uptime_s
        services.kill("one")
        restarter.look()
        assert f"(death {count} of at most 4 in a row)" in services.reports[-1]
        services.clock.now += POLICY.longest_delay_s
        restarter.look()
        assert restarter.look()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (137, "killed by SIGKILL"),
        (139, "killed by SIGSEGV"),
        (3, "exit code 3"),
        (-9, "its guard was killed by SIGKILL"),
        (255, "killed by signal 127"),
    ],
)
def test_how_it_ended_in_words(code: int, words: str) -> None:
    assert ending(code) == words


def wait_for(file: Path, words: str) -> None:
    """Waits until a launcher has written something."""
    deadline = time.monotonic() + WAIT_S
    while words not in file.read_text():
        assert time.monotonic() < deadline, file.read_text()
        time.sleep(0.05)


@pytest.mark.promise("local-restart")
def test_the_launcher_gives_up_in_words(
    double_repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flag, program = tmp_path / "broken", tmp_path / "bin" / "redis-server"
    program.parent.mkdir()
    real = redis.find_binary()
    program.write_text(f'#!/bin/sh\n[ -e {flag} ] && echo "no more memory" && exit 3\nexec {real} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    with small.launched(double_repository, tmp_path, "--only", "redis") as (process, state):
        pids = small.family(process.pid)
        flag.touch()
        os.kill(state["services"]["redis"]["pid"], signal.SIGKILL)
        _, errors = process.communicate(timeout=WAIT_S)
        assert process.returncode == 1
        lines = errors.splitlines()
        assert [line.partition(" s (")[2] for line in lines[:4]] == [
            f"death {count} of at most 5 in a row)." for count in range(1, 5)
        ]
        log = tmp_path / "logs" / "redis.log"
        assert lines[4] == (
            "redis died before it was ready: exit code 3. It died 5 times in a row, so the cluster stops. "
            f"{log} ends with:"
        )
        assert lines[-1] == "    no more memory"
        small.wait_gone(pids, process.pid)


def changed_state(file: Path, before: dict[str, Any]) -> dict[str, Any]:
    """What the state file says as soon as it says something else."""
    deadline = time.monotonic() + WAIT_S
    while (state := json.loads(file.read_text())) == before:
        assert time.monotonic() < deadline, state
        time.sleep(0.05)
    return dict(state)


@pytest.fixture(scope="module")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """A launcher with Redis, two Tritons and an orchestrator: its state file and the file of its errors."""
    folder = tmp_path_factory.mktemp("whole")
    repository = small.write_fast_repository(folder / "repository")
    errors = folder / "errors"
    options = ("--only", "redis,triton,orchestrator", "--port", "0", "--replicas", "2")
    with errors.open("w") as stream, small.launched(repository, folder, *options, stderr=stream):
        yield folder / "state.json", errors


@pytest.mark.promise("local-restart")
def test_a_service_that_crashes_once_while_it_starts_is_started_again(tmp_path: Path) -> None:
    flag = tmp_path / "started"
    crash = f"flag = pathlib.Path({str(flag)!r}); flag.exists() or (flag.touch(), os.abort())"
    code = f"import os, pathlib, time; {crash}; time.sleep(60)"
    supervisor = Supervisor()
    ready = lambda: running_s(supervisor) > 1.0  # noqa: E731  # it has crashed by then, or never will
    try:
        child = supervisor.start(Service("one", (sys.executable, "-c", code), "", tmp_path / "one.log", ready))
        assert child.exit_code is None
        assert flag.exists()
    finally:
        supervisor.stop()


def running_s(supervisor: Supervisor) -> float:
    """Seconds since the only service was started."""
    (child,) = supervisor.children.values()
    return time.monotonic() - child.started_at


@pytest.mark.promise("local-restart")
@pytest.mark.row("local-restart")
@pytest.mark.cluster
@pytest.mark.parametrize("name", ["redis", "triton-0", "orchestrator"])
async def test_requests_go_on_while_it_comes_back_on_its_port(launcher: tuple[Path, Path], name: str) -> None:
    state_file, errors = launcher
    before = json.loads(state_file.read_text())
    endpoint, service = before["endpoints"]["orchestrator"], before["services"][name]
    async with AsyncClient(endpoint, timeout_s=WAIT_S) as client:
        first = await client.generate(Background(small.PRODUCT), **REQUEST, seed=5)
    async with asking(endpoint, Background(small.PRODUCT), **REQUEST) as requests:
        await asyncio.sleep(0.5)
        os.kill(service["pid"], signal.SIGKILL)
        await asyncio.to_thread(wait_for, errors, f"{name} is ready again at {service['endpoint']}, ")
        before_it_returned = requests.made
        async with asyncio.timeout(WAIT_S):
            while requests.made <= before_it_returned:  # noqa: ASYNC110  # two callers count
                await asyncio.sleep(0.05)
    death = rf"^{name} died after [\d.]+ s: killed by SIGKILL; its log is .*/{name}.log\."
    assert re.search(death, errors.read_text(), re.M)
    after = await asyncio.to_thread(changed_state, state_file, before)
    assert after["endpoints"] == before["endpoints"]
    assert [other for other in after["services"] if after["services"][other] != before["services"][other]] == [name]
    # The port of an orchestrator that is away refuses connections; callers try again, and then give up.
    if name != "orchestrator":
        assert requests.failed == []
    async with AsyncClient(endpoint, timeout_s=WAIT_S) as client:
        again = await client.generate(Background(small.PRODUCT), **REQUEST, seed=5)
        assert again.best.data == first.best.data
        async with asyncio.timeout(WAIT_S):
            while (await client.info()).ready_replicas < 2:  # noqa: ASYNC110  # asked over the wire
                await asyncio.sleep(0.05)

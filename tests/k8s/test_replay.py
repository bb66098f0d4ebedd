"""The manifests run: the rendered `cpu` overlay as processes of this machine, a picture through it, and rollouts."""

from __future__ import annotations

import asyncio
import copy
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

import backdrop
from tests.k8s.rendering import ROOT, Manifest, of, overlay, pod, workloads
from tests.k8s.replay.askers import asking
from tests.k8s.replay.cluster import Replay, expect_token, leftovers
from tests.k8s.replay.mounts import NotThereError
from tests.k8s.replay.pod import PodError

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(420)]
PRODUCT = ROOT / "examples" / "product.png"
FAST: dict[str, Any] = {"prompt": "a beach at sunset", "pipeline": "backdrop-fast", "steps": 2, "variants": 1}


@pytest.fixture(scope="module")
async def replay(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Replay]:
    async with Replay(overlay("cpu"), tmp_path_factory.mktemp("replay")) as running:
        await running.wait_ready()
        yield running
    assert [one.killed for one in running.gone if one.killed] == []
    assert leftovers() == []


async def test_a_picture_comes_out(replay: Replay) -> None:
    async with backdrop.AsyncClient(replay.endpoint("orchestrator")) as client:
        result = await client.generate(backdrop.Background(PRODUCT), **FAST, seed=7)
    assert result.best.image().size == (result.best.width, result.best.height)
    replay.check()


async def test_pods_are_followed_through_the_api_server(replay: Replay) -> None:
    expect_token(replay)
    assert [len(replay.of(name)) for name in ("triton", "orchestrator", "redis")] == [1, 1, 1]


@pytest.mark.parametrize("workload", ["orchestrator", "triton"])
async def test_a_rollout_loses_no_request(replay: Replay, workload: str) -> None:
    before = replay.of(workload)
    async with asking(replay.endpoint("orchestrator"), backdrop.Background(PRODUCT), **FAST) as tally:
        await asyncio.sleep(1)
        await replay.rollout_restart(workload)
        await asyncio.sleep(1)
    assert tally.failed == []
    assert tally.made >= 4
    assert not set(before) & set(replay.of(workload))


def args(name: str, old: str, new: str) -> Callable[[list[Manifest]], None]:
    def change(manifests: list[Manifest]) -> None:
        container = pod(next(w for w in workloads(manifests) if w["metadata"]["name"] == name))["containers"][0]
        assert old in container["args"]
        container["args"] = [new if argument == old else argument for argument in container["args"]]

    return change


def config(name: str, old: str, new: str) -> Callable[[list[Manifest]], None]:
    def change(manifests: list[Manifest]) -> None:
        data = next(m for m in of(manifests, "ConfigMap") if m["metadata"]["name"].startswith(name))["data"]
        assert any(old in value for value in data.values())
        data |= {key: value.replace(old, new) for key, value in data.items()}

    return change


def mount(name: str, old: str, new: str) -> Callable[[list[Manifest]], None]:
    def change(manifests: list[Manifest]) -> None:
        container = pod(next(w for w in workloads(manifests) if w["metadata"]["name"] == name))["containers"][0]
        (volume_mount,) = [mounted for mounted in container["volumeMounts"] if mounted["mountPath"] == old]
        volume_mount["mountPath"] = new

    return change


def probe(name: str, **spec: object) -> Callable[[list[Manifest]], None]:
    def change(manifests: list[Manifest]) -> None:
        container = pod(next(w for w in workloads(manifests) if w["metadata"]["name"] == name))["containers"][0]
        container["startupProbe"] = {**spec, "periodSeconds": 1, "failureThreshold": 4}

    return change


REPOSITORY, BACKENDS = "--model-repository=/store/repository", "--backend-directory=/opt/tritonserver/backends"
PING = {"exec": {"command": ["valkey-cli", "--host", "127.0.0.1", "ping"]}}
SECRET = "/run/secrets/backdrop/redis"
WRONG = {
    # Not "strict-readines": Triton accepts every unambiguous prefix of a flag.
    "a flag of Triton": (
        "triton",
        args("triton", "--strict-readiness=true", "--strict-redness=true"),
        "strict-redness",
    ),
    "Triton's repository": ("triton", args("triton", REPOSITORY, "--model-repository=/stor/repository"), "/stor/"),
    "a backend's folder": ("triton", args("triton", BACKENDS, "--backend-directory=/opt/triton"), "failed to load"),
    "a mount": ("orchestrator", mount("orchestrator", "/store", "/store/repository"), "pipeline.json"),
    "a setting": ("orchestrator", config("orchestrator", "60", "a minute"), "BACKDROP_DRAIN_TIMEOUT_S"),
    "a secret's path": ("orchestrator", mount("orchestrator", SECRET, "/run/secrets/redis"), "PASSWORD_FILE"),
    "a key of Redis": ("redis", config("redis", "appendfsync everysec", "appendfsync sometimes"), "appendfsync"),
    "Redis' users": ("redis", config("redis", "users.acl", "user.acl"), "user.acl"),
    "a probe's port": ("redis", probe("redis", tcpSocket={"port": 6380}), "startup probe"),
    "a probe's command": ("redis", probe("redis", **PING), "startup probe"),
}


SECOND_OF_A_KIND = ("Triton's repository", "a backend's folder", "a secret's path", "Redis' users", "a probe's command")


@pytest.mark.parametrize(
    "what", [pytest.param(what, marks=[pytest.mark.full] * (what in SECOND_OF_A_KIND)) for what in WRONG]
)
async def test_what_is_wrong_in_the_manifests_fails(tmp_path: Path, what: str) -> None:
    workload, change, said = WRONG[what]
    manifests = copy.deepcopy(overlay("cpu"))
    change(manifests)
    only = ("publish-models", workload)
    with pytest.raises((PodError, NotThereError), match=re.escape(said)):
        async with Replay(manifests, tmp_path, only) as running:
            await running.wait_ready(within_s=60)


@pytest.mark.parametrize(("kind", "name"), [("ConfigMap", "orchestrator-settings"), ("Secret", "redis-auth")])
async def test_a_name_that_nobody_has_fails(tmp_path: Path, kind: str, name: str) -> None:
    manifests = copy.deepcopy(overlay("cpu"))
    next(m for m in of(manifests, kind) if m["metadata"]["name"].startswith(name))["metadata"]["name"] = "another"
    with pytest.raises(NotThereError, match=name):
        async with Replay(manifests, tmp_path, ("orchestrator",)):
            pass

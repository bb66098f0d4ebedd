"""Triton scaled to zero: what starts it again, what a caller sees meanwhile, and that no GPU is held outside use."""

from __future__ import annotations

import asyncio
import copy
import re
import urllib.request
from pathlib import Path

import pytest

import backdrop
from tests.k8s.cells import cell, references
from tests.k8s.rendering import Manifest, combine, of, settings
from tests.k8s.replay.cluster import Replay
from tests.k8s.rules import RULES
from tests.k8s.simulation.cluster import Cluster
from tests.k8s.simulation.resources import requested
from tests.k8s.simulation.world import NodePool, World, accelerators, processors
from tests.k8s.test_replay import FAST, PRODUCT
from tests.k8s.test_simulated_installs import MODELS

CHOSEN = ("monitoring", "keda", "keda/to-zero")
SPLIT = ("split-roles", "monitoring", "keda", "split-roles/keda", "keda/to-zero")


@pytest.mark.parametrize(("name", "components"), [("production", CHOSEN), ("gpu", SPLIT)])
def test_a_call_starts_what_idles(tmp_path: Path, name: str, components: tuple[str, ...]) -> None:
    manifests = combine(tmp_path, name, components)
    recorded = {rule["record"] for rule in RULES if "record" in rule}
    scalers = [m["spec"] for m in of(manifests, "ScaledObject") if m["metadata"]["name"].startswith("triton")]
    assert len(scalers) == 1 + ("split-roles" in components)
    for spec in scalers:
        # In use there are the overlay's replicas, and never one alone.
        assert spec["idleReplicaCount"] == 0 < spec["minReplicaCount"]
        trigger = spec["triggers"][-1]
        assert trigger["name"] == "in-use"
        assert set(re.findall(r"backdrop:\w+:\w+", trigger["metadata"]["query"])) <= recorded
        # 1 of 1 asks for one replica: less than the minimum, so it neither adds pods nor keeps any.
        assert (trigger["metricType"], trigger["metadata"]["threshold"]) == ("AverageValue", "1")
        assert float(trigger["metadata"]["activationThreshold"]) < 1
        # A query without an answer must not read as "nobody calls".
        assert trigger["metadata"]["ignoreNullValues"] == "false"
        # Longer than a start, else pods would go before those who wait come back.
        assert spec["cooldownPeriod"] > float(settings(manifests)["BACKDROP_COLD_START_S"])
    (orchestrator,) = of(manifests, "ScaledObject", "orchestrator")
    assert "idleReplicaCount" not in orchestrator["spec"], "somebody has to answer"


@pytest.mark.full
def test_a_second_cell_reads_its_own_calls(tmp_path: Path) -> None:
    assert references(cell(tmp_path, "gpu", SPLIT)) == []


def test_no_gpu_is_held_outside_use(tmp_path: Path) -> None:
    manifests = combine(tmp_path, "production", CHOSEN)
    pool = NodePool(accelerators("gpu", 1), most=16)
    cluster = Cluster(manifests, World([processors()], MODELS, [pool]), in_use=False)
    assert cluster.install() == []
    assert (pool.count, gpus(cluster)) == (0, 0)
    assert all(one.ready for one in cluster.of("orchestrator"))
    cluster.in_use = True
    assert cluster.settle() == []
    (scaler,) = of(manifests, "ScaledObject", "triton")
    assert gpus(cluster) == pool.count == scaler["spec"]["minReplicaCount"]
    cluster.in_use = False
    assert cluster.settle() == []
    assert gpus(cluster) == 0


def test_without_the_setting_orchestrators_would_wait_for_ever(tmp_path: Path) -> None:
    # They would not be ready, no call would arrive, and so nothing would start a GPU.
    manifests = [m for m in combine(tmp_path, "production", CHOSEN) if m["kind"] != "ConfigMap"]
    config = {"kind": "ConfigMap", "metadata": {"name": "orchestrator-settings"}, "data": {}}
    cluster = Cluster([*manifests, config], World([processors()], MODELS), in_use=False)
    assert any("orchestrator: models" in line for line in cluster.install())


def gpus(cluster: Cluster) -> float:
    """GPUs that pods hold."""
    return sum(requested(one.spec).get("nvidia.com/gpu", 0) for one in cluster.pods if one.node is not None)


@pytest.mark.full
@pytest.mark.cluster
@pytest.mark.timeout(420)
async def test_callers_wait_for_the_first_triton(tmp_path: Path) -> None:
    manifests: list[Manifest] = copy.deepcopy(combine(tmp_path / "site", "cpu", CHOSEN[1:]))
    of(manifests, "Deployment", "triton")[0]["spec"]["replicas"] = 0
    (config,) = (m["data"] for m in of(manifests, "ConfigMap") if "BACKDROP_COLD_START_S" in m["data"])
    config["BACKDROP_COLD_START_S"] = "25"
    async with Replay(manifests, tmp_path / "replay") as replay:
        # Ready without a Triton, so that a call can arrive.
        await replay.wait_ready(within_s=120)
        (pod,) = replay.of("orchestrator")
        assert await gauge(pod.address, "backdrop_idle_seconds") == float("inf")
        async with backdrop.AsyncClient(replay.endpoint("orchestrator")) as client:
            waiting = asyncio.create_task(result(client))
            await asyncio.sleep(2)
            # What the recorded series compares with 300 s; KEDA starts the first replica.
            assert await gauge(pod.address, "backdrop_idle_seconds") < 300
            assert await gauge(pod.address, "backdrop_replicas_expected") == 0
            assert await gauge(pod.address, "backdrop_cold_refusals_total") == 1
            replay.create("triton")
            assert (await waiting).best.image().size
            assert await gauge(pod.address, "backdrop_ready_replicas") == 1
        replay.check()


async def result(client: backdrop.AsyncClient) -> backdrop.Result:
    return await client.generate(backdrop.Background(PRODUCT), **FAST, seed=7)


async def gauge(address: str, name: str) -> float:
    """A metric of an orchestrator."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def read() -> str:
        with opener.open(f"http://{address}:9090/metrics", timeout=5) as response:
            return str(response.read(), "utf-8")

    text = await asyncio.to_thread(read)
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if re.match(rf"{name}[ {{]", line))

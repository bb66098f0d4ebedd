"""Denoisers and other models in separate Deployments: every model is served, and a picture needs both."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import backdrop
from tests.k8s.rendering import K8S, ROOT, Manifest, combine, of, pod, workloads
from tests.k8s.replay.cluster import Replay
from tests.k8s.test_replay import FAST, PRODUCT

NAMES = ("triton", "triton-denoiser")


def loaded(workload: Manifest) -> set[str]:
    arguments = pod(workload)["containers"][0]["args"]
    return {a.removeprefix("--load-model=") for a in arguments if a.startswith("--load-model=")}


@pytest.fixture(scope="module", params=["cpu", "gpu", "production"])
def deployments(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Manifest]:
    manifests = combine(tmp_path_factory.mktemp("site"), request.param, ("split-roles",))
    return [of(manifests, "Deployment", name)[0] for name in NAMES]


def test_every_model_has_its_place(deployments: list[Manifest]) -> None:
    document = json.loads((ROOT / "triton_repo" / "pipeline.json").read_text())
    denoisers = {pipeline["components"]["denoiser"] for pipeline in document["pipelines"].values()}
    rest, denoising = (loaded(deployment) for deployment in deployments)
    assert denoising == denoisers
    assert rest == document["models"].keys() - denoisers


def test_the_pods_differ_in_their_models_alone(deployments: list[Manifest]) -> None:
    stripped = []
    for deployment in deployments:
        text = json.dumps(pod(deployment))
        for model in loaded(deployment):
            text = text.replace(f', "--load-model={model}"', "").replace(f', "--model={model}"', "")
        stripped.append(text.replace('"denoiser"', '"models"'))
    assert stripped[0] == stripped[1]
    assert deployments[0]["spec"]["strategy"] == deployments[1]["spec"]["strategy"]


def test_engines_are_made_of_what_is_loaded(deployments: list[Manifest]) -> None:
    for deployment in deployments:
        for container in pod(deployment)["initContainers"]:
            named = {a.removeprefix("--model=") for a in container["args"] if a.startswith("--model=")}
            assert named == (loaded(deployment) if container["name"] == "fit-engines" else set())


def test_neither_takes_the_others_pods(deployments: list[Manifest]) -> None:
    labels = [deployment["spec"]["template"]["metadata"]["labels"] for deployment in deployments]
    for own, others, deployment in ((labels[0], labels[1], deployments[0]), (labels[1], labels[0], deployments[1])):
        selector = deployment["spec"]["selector"]["matchLabels"]
        assert selector.items() <= own.items()
        assert not selector.items() <= others.items()
        for spread in pod(deployment)["topologySpreadConstraints"]:
            assert spread["labelSelector"]["matchLabels"] == selector


def test_the_models_names_are_not_in_any_other_manifest() -> None:
    files = [file for file in K8S.rglob("*.yaml") if "load-model" in file.read_text()]
    assert {file.parent.name for file in files} == {"split-roles"}


@pytest.mark.cluster
@pytest.mark.timeout(300)
@pytest.mark.parametrize("rollout", [False, pytest.param(True, marks=pytest.mark.full)], ids=["as it is", "rollout"])
async def test_a_picture_takes_both(rollout: bool, tmp_path: Path) -> None:
    manifests = combine(tmp_path / "site", "cpu", ("split-roles",))
    for deployment in workloads(manifests):
        if deployment["metadata"]["name"] == "triton-denoiser":
            deployment["spec"]["replicas"] = 1
    async with Replay(manifests, tmp_path) as replay:
        await replay.wait_ready()
        async with backdrop.AsyncClient(replay.endpoint("orchestrator")) as client:
            first = await client.generate(backdrop.Background(PRODUCT), **FAST, seed=5)
            assert (await client.info()).ready_replicas == 1, "one of each role"
            if rollout:
                await replay.rollout_restart("triton-denoiser")
                again = await client.generate(backdrop.Background(PRODUCT), **FAST, seed=5)
                assert first.best.data == again.best.data

"""The smoke test and the load test in the cluster: what they run and reach, and what they say of a broken model."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from export.files import fingerprint, model_files
from tests.backdrop.command_line import run
from tests.k8s.rendering import ROOT, Manifest, combine, containers, of
from tests.k8s.replay.cluster import Replay
from tests.k8s.replay.pod import PodError

JOBS = ("smoke-test", "load-test")


@pytest.fixture(scope="module")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> list[Manifest]:
    return combine(tmp_path_factory.mktemp("site"), "cpu", JOBS)


@pytest.mark.parametrize("name", JOBS)
def test_the_command_takes_its_flags(manifests: list[Manifest], name: str) -> None:
    (container,) = containers(of(manifests, "Job", name)[0])
    assert container["command"] == ["python", "-m", "backdrop"]
    assert all(isinstance(argument, str) for argument in container["args"])
    result = run(*container["args"], "--help", env={"COLUMNS": "120"})
    assert result.exit_code == 0, result.output
    assert container["image"] == containers(of(manifests, "Deployment", "orchestrator")[0])[-1]["image"]


@pytest.mark.parametrize("name", JOBS)
def test_it_reaches_the_orchestrator_and_nothing_else(manifests: list[Manifest], name: str) -> None:
    labels = of(manifests, "Job", name)[0]["spec"]["template"]["metadata"]["labels"]
    selecting = [
        policy
        for policy in of(manifests, "NetworkPolicy")
        if policy["spec"]["podSelector"] and policy["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
    ]
    assert [policy["metadata"]["name"] for policy in selecting] == [name]
    ports = {port["port"] for rule in selecting[0]["spec"]["egress"] for port in rule["ports"]}
    assert ports == {53, 50061}
    (admits,) = of(manifests, "NetworkPolicy", f"orchestrator-admits-{name}")
    assert admits["spec"]["ingress"][0]["from"][0]["podSelector"]["matchLabels"].items() <= labels.items()


def test_a_load_test_starts_by_hand(manifests: list[Manifest]) -> None:
    assert of(manifests, "Job", "load-test")[0]["spec"]["suspend"] is True
    assert "suspend" not in of(manifests, "Job", "smoke-test")[0]["spec"]


def broken(target: Path, factor: float) -> Path:
    """The reference repository with a VAE decoder whose result is multiplied, and digests that agree with it."""
    shutil.copytree(ROOT / "triton_repo", target)
    document: dict[str, Any] = json.loads((target / "pipeline.json").read_text())
    name, entry = "vae_decoder", document["models"]["vae_decoder"]
    file = target / name / entry["version"] / "model.onnx"
    model = onnx.load(file, load_external_data=False)
    (output,) = model.graph.output
    for node in model.graph.node:
        node.output[:] = ["whole" if each == output.name else each for each in node.output]
        node.input[:] = ["whole" if each == output.name else each for each in node.input]
    kind = helper.tensor_dtype_to_np_dtype(output.type.tensor_type.elem_type)
    model.graph.initializer.append(numpy_helper.from_array(np.array([factor], kind), "factor"))
    model.graph.node.append(helper.make_node("Mul", ["whole", "factor"], [output.name]))
    onnx.save(model, file)
    before = entry["fingerprint"]
    files = model_files(target / name, entry["version"])
    entry["fingerprint"] = fingerprint(files)
    for config in (target / name).rglob("*.pbtxt"):
        config.write_text(config.read_text().replace(before, entry["fingerprint"]))
    entry["files"] = {each: "sha256:" + digest for each, digest in model_files(target / name, entry["version"]).items()}
    (target / "pipeline.json").write_text(json.dumps(document))
    return target


@pytest.mark.full
@pytest.mark.cluster
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("factor", "why"),
    [(None, ""), (0.0, "one flat colour"), (float("nan"), "Model vae_decoder failed")],
    ids=["the reference", "a decoder that returns zeros", "a decoder that returns NaN"],
)
async def test_smoke_passes_and_says_why_not(
    manifests: list[Manifest], tmp_path: Path, factor: float | None, why: str
) -> None:
    only = ("publish-models", "redis", "triton", "orchestrator", "smoke-test")
    replay = Replay(manifests, tmp_path, only)
    if factor is not None:
        models = replay.images["models"]
        files = {**models.files, "/repository": broken(tmp_path / "broken", factor)}
        replay.images["models"] = dataclasses.replace(models, files=files)
    if not why:
        async with replay:
            await replay.wait_ready("smoke-test", within_s=600)
        return
    with pytest.raises(PodError, match=why):
        async with replay:
            await replay.wait_ready("smoke-test", within_s=600)

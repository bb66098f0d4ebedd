"""The component `signed-models`: its keys are where the commands look for them, and unsigned models are refused."""

from __future__ import annotations

from pathlib import Path

import minisign
import pytest

from orchestrator.repository import store
from orchestrator.repository.signed import SIGNATURE
from orchestrator.settings import Settings
from tests.k8s.rendering import Manifest, combine, containers, of, pod, settings
from tests.orchestrator.repository.test_repository import document, write

ROLES = {"triton", "triton-denoiser"}


@pytest.fixture(scope="module")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> list[Manifest]:
    return combine(tmp_path_factory.mktemp("site"), "production", ("split-roles", "signed-models"))


def checking(manifests: list[Manifest]) -> dict[str, tuple[Manifest, Manifest]]:
    """The workloads that check the repository by `store`, each with the container that does."""
    chosen = [workload for kind in ("Job", "Deployment") for workload in of(manifests, kind)]
    return {
        workload["metadata"]["name"]: (workload, container)
        for workload in chosen
        for container in containers(workload)
        if "orchestrator.repository.store" in container.get("command", [])
    }


def test_whoever_reads_models_has_the_keys(manifests: list[Manifest]) -> None:
    values = {name.removeprefix("BACKDROP_").lower(): value for name, value in settings(manifests).items()}
    file = Settings.model_validate(values).repository_keys_file
    assert file is not None
    (keys,) = of(manifests, "ConfigMap", "model-keys")
    assert file.name in keys["data"]
    orchestrator = of(manifests, "Deployment", "orchestrator")[0]
    readers = {**checking(manifests), "orchestrator": (orchestrator, pod(orchestrator)["containers"][0])}
    assert readers.keys() == {"publish-models", "orchestrator", *ROLES}
    for workload, container in readers.values():
        mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
        volumes = {volume["name"]: volume for volume in pod(workload)["volumes"]}
        assert mounts[str(file.parent)]["readOnly"]
        assert volumes[mounts[str(file.parent)]["name"]]["configMap"]["name"] == "model-keys"
        if container["name"] != "orchestrator":
            assert f"--keys={file}" in container["args"]
    # On GPUs, engines are built of the models: only after they were checked.
    assert [pod(readers[name][0])["initContainers"][0]["name"] for name in sorted(ROLES)] == ["check-models"] * 2
    assert all("--digests" in readers[name][1]["args"] for name in ROLES)


def test_unsigned_models_are_not_published_and_changed_ones_not_served(
    manifests: list[Manifest], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, keys = tmp_path / "opt", tmp_path / "keys.pub"
    source.mkdir()
    write(source, document(source))
    (placeholder,) = of(manifests, "ConfigMap", "model-keys")
    keys.write_text(placeholder["data"]["keys.pub"])

    def run(name: str) -> int:
        _, container = checking(manifests)[name]
        arguments = [str(source) if each == "/repository" else each for each in container["args"]]
        arguments = [argument.replace("/etc/backdrop/models/keys.pub", str(keys)) for argument in arguments]
        return store.main([argument.replace("/store", str(tmp_path)) for argument in arguments])

    assert run("publish-models") == 1
    assert "holds no public key" in capsys.readouterr().err
    pair = minisign.KeyPair.generate()
    keys.write_bytes(bytes(pair.public_key))
    assert run("publish-models") == 1
    assert not (tmp_path / "repository").exists()
    (source / SIGNATURE).write_bytes(bytes(pair.secret_key.sign((source / "pipeline.json").read_bytes())))
    assert run("publish-models") == 0
    assert run("triton-denoiser") == 0
    # Of the same size, so that the mark does not show it.
    (tmp_path / "repository" / "denoiser" / "1" / "model.onnx").write_bytes(b"y")
    assert run("triton-denoiser") == 1
    assert "denoiser/1/model.onnx has sha256:" in capsys.readouterr().err

"""The replay maps a pod's paths and addresses, and reports references to missing objects."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.k8s.rendering import Manifest
from tests.k8s.replay.mounts import Here, NotThereError, Volumes, environment, expanded

HERE = Here(
    {"/store": Path("/tmp/x/store"), "/tmp": Path("/tmp/x/tmp"), "/store/engines": Path("/e")},
    "127.70.1.4",
    {"redis.backdrop": "127.70.1.2", "triton.backdrop": "127.70.1.3"},
)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("--model-repository=/store/repository", "--model-repository=/tmp/x/store/repository"),
        ("/store", "/tmp/x/store"),
        ("/store/engines/a", "/e/a"),
        ("/storehouse /mnt/store", "/storehouse /mnt/store"),
        ("0.0.0.0:9090", "127.70.1.4:9090"),
        ("[::]:9090", "127.70.1.4:9090"),
        ("bind 0.0.0.0 -::", "bind 127.70.1.4"),
        ("redis://orchestrator@redis.backdrop:6379/0", "redis://orchestrator@127.70.1.2:6379/0"),
        ("redis://redis.backdrop:6379", "redis://127.70.1.2:6379"),
        ("kubernetes:///triton.backdrop:8001", "kubernetes:///triton.backdrop:8001"),
        ("dns:///triton.backdrop:8001", "dns:///127.70.1.3:8001"),
        ("redis.backdrop.example", "redis.backdrop.example"),
    ],
)
def test_paths_and_addresses(text: str, written: str) -> None:
    assert HERE.text(text) == written


def test_arguments_are_expanded_as_the_kubelet_does() -> None:
    assert expanded(["a=$(UID)", "$(OTHER)", 1], {"UID": "7"}) == ["a=7", "$(OTHER)", "1"]


def config(**data: str) -> Manifest:
    return {"kind": "ConfigMap", "metadata": {"name": "settings"}, "data": data}


def test_a_volume_has_what_its_items_say(tmp_path: Path) -> None:
    volumes = Volumes([config(a="1", b="2")], tmp_path / "claims", tmp_path / "own", tmp_path)
    items = [{"key": "a", "path": "x"}]
    folders = volumes.make({"volumes": [{"name": "v", "configMap": {"name": "settings", "items": items}}]}, "pod")
    assert {file.name: file.read_text() for file in folders["v"].iterdir()} == {"x": "1"}


@pytest.mark.parametrize(
    "volume",
    [
        {"name": "v", "configMap": {"name": "others"}},
        {"name": "v", "secret": {"secretName": "settings"}},
        {"name": "v", "configMap": {"name": "settings", "items": [{"key": "c", "path": "c"}]}},
    ],
)
def test_what_is_not_there_is_noticed(tmp_path: Path, volume: Manifest) -> None:
    volumes = Volumes([config(a="1")], tmp_path / "claims", tmp_path / "own", tmp_path)
    with pytest.raises(NotThereError):
        volumes.make({"volumes": [volume]}, "pod")


def test_the_environment_comes_from_all_three_places() -> None:
    container = {
        "envFrom": [{"configMapRef": {"name": "settings"}}],
        "env": [{"name": "B", "value": "2"}, {"name": "U", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}],
    }
    assert environment(container, [config(A="1")], "uid", "127.0.0.9") == {"A": "1", "B": "2", "U": "uid"}
    with pytest.raises(NotThereError):
        environment(container, [], "uid", "127.0.0.9")

"""A container of the manifests in the runtime's words: user, rights, root and volumes."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from tests.k8s.images.bundle import Container
from tests.k8s.images.trial import find

IMAGE = {"Env": ["PATH=/usr/bin", "PYTHONPATH=/opt/backdrop"], "WorkingDir": "/opt/backdrop", "User": "10001:10001"}


def container(name: str) -> Container:
    pod, spec = find(name)
    return Container(Path("/root-of-it"), IMAGE, pod, spec, {"A": "b"}, {"store": Path("/volumes/store")})


@pytest.mark.parametrize("name", ["models", "orchestrator"])
def test_it_is_as_confined_as_the_manifest_says(name: str) -> None:
    config = container(name).oci()
    assert config["root"] == {"path": "/root-of-it", "readonly": True}
    process = config["process"]
    assert process["user"] == {"uid": 10001, "gid": 10001, "additionalGids": [10001]}
    assert (process["capabilities"], process["noNewPrivileges"]) == ({}, True)
    assert process["env"] == ["PATH=/usr/bin", "PYTHONPATH=/opt/backdrop", "A=b"]


def test_claims_are_read_only_where_the_manifest_says_so() -> None:
    (store, tmp) = container("orchestrator").mounts
    assert (store["destination"], store["source"], store["options"]) == ("/store", "/volumes/store", ["bind", "ro"])
    assert (tmp["destination"], tmp["type"]) == ("/tmp", "tmpfs")
    assert "size=256m" in tmp["options"]
    (store,) = container("models").mounts
    assert store["options"] == ["bind", "rw"]


def test_the_command_is_the_manifest_s_or_another() -> None:
    assert container("orchestrator").oci()["process"]["args"] == ["python", "-m", "orchestrator"]
    assert container("models").oci()["process"]["args"][:4] == [
        "python",
        "-m",
        "orchestrator.repository.store",
        "publish",
    ]
    assert container("models").oci(["true"])["process"]["args"] == ["true"]


def test_a_manifest_with_a_capability_is_refused() -> None:
    part = container("orchestrator")
    spec = copy.deepcopy(part.spec)
    spec["securityContext"]["capabilities"]["add"] = ["SYS_PTRACE"]
    with pytest.raises(AssertionError, match="SYS_PTRACE"):
        Container(part.root, IMAGE, part.pod, spec, {}, {}).oci()

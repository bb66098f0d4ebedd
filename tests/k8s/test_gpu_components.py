"""How pods request GPUs: whole, MIG slices or time slices; requests equal limits, and never two kinds at once."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
import yaml

from tests.k8s.rendering import K8S, Manifest, combine, containers, of, workloads

WHOLE, SLICE, TURN = "nvidia.com/gpu", "nvidia.com/mig-3g.40gb", "nvidia.com/gpu.shared"


def gpus_of(manifests: list[Manifest]) -> dict[str, set[str]]:
    """The GPU requests of the containers of each workload; fails where limits differ."""
    kinds: dict[str, set[str]] = {}
    for workload in workloads(manifests):
        for container in containers(workload):
            names = {name for name in container["resources"]["limits"] if name.startswith("nvidia.com/")}
            assert all(container["resources"]["requests"][n] == container["resources"]["limits"][n] == 1 for n in names)
            assert len(names) <= 1
            kinds.setdefault(workload["metadata"]["name"], set()).update(names)
    return {name: names for name, names in kinds.items() if names}


@pytest.mark.parametrize(
    ("components", "expected"),
    [
        ((), {"triton": WHOLE}),
        (("mig",), {"triton": SLICE}),
        (("time-slicing",), {"triton": TURN}),
        (("split-roles", "mig"), {"triton": SLICE, "triton-denoiser": SLICE}),
        (("split-roles", "time-slicing"), {"triton": TURN, "triton-denoiser": WHOLE}),
        (("split-roles", "multi-gpu"), {"triton": WHOLE, "triton-denoiser": WHOLE}),
    ],
)
@pytest.mark.parametrize("overlay", ["gpu", "production"])
def test_every_pod_asks_for_one_kind(
    tmp_path: Path, overlay: str, components: tuple[str, ...], expected: dict[str, str]
) -> None:
    manifests = combine(tmp_path, overlay, components)
    assert gpus_of(manifests) == {name: {kind} for name, kind in expected.items()}
    (quota,) = of(manifests, "ResourceQuota")
    assert all(f"requests.{kind}" in quota["spec"]["hard"] for kind in expected.values())


def test_slices_and_turns_do_not_go_together(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="nvidia"):
        combine(tmp_path, "gpu", ("mig", "time-slicing"))


def test_many_gpus_of_a_node_have_cores_of_their_own(tmp_path: Path) -> None:
    manifests = combine(tmp_path, "production", ("split-roles", "multi-gpu"))
    for name in ("triton", "triton-denoiser"):
        (deployment,) = of(manifests, "Deployment", name)
        # QoS class Guaranteed: requests = limits in every container, and whole cores in the serving one.
        for container in containers(deployment):
            assert container["resources"]["requests"] == container["resources"]["limits"]
        assert re.fullmatch(r"\d+", containers(deployment)[-1]["resources"]["limits"]["cpu"])
    (quota,) = of(manifests, "ResourceQuota")
    assert int(quota["spec"]["hard"][f"requests.{WHOLE}"]) >= 64


def test_turns_are_named_as_the_device_plugin_names_them() -> None:
    plugin = yaml.safe_load((K8S / "components" / "time-slicing" / "device-plugin.yaml").read_text())
    sharing = plugin["sharing"]["timeSlicing"]
    (resource,) = sharing["resources"]
    assert sharing["renameByDefault"]
    assert f"{resource['name']}.shared" == TURN
    assert Counter(sharing.keys()) == Counter(["renameByDefault", "failRequestsGreaterThanOne", "resources"])


def test_models_come_from_a_bucket_by_an_identity_and_no_key(tmp_path: Path) -> None:
    manifests = combine(tmp_path, "production", ("object-store",))
    (job,) = of(manifests, "Job", "publish-models")
    (container,) = containers(job)
    assert container["args"][:3] == ["publish", "--from", "s3://backdrop-models/repository"]
    assert container["image"] == containers(of(manifests, "Deployment", "orchestrator")[0])[-1]["image"]
    names = {entry["name"] for entry in container["env"]}
    assert "AWS_WEB_IDENTITY_TOKEN_FILE" in names
    assert not any("KEY" in name for name in names)
    labels = job["spec"]["template"]["metadata"]["labels"]
    reached = [
        policy["metadata"]["name"]
        for policy in of(manifests, "NetworkPolicy")
        if policy["spec"]["podSelector"] != {}
        and policy["spec"]["podSelector"].get("matchLabels", {}).items() <= labels.items()
    ]
    assert reached == ["publisher"]

"""Every image that can be built here is built and run, and a picture is made through the containers."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

import backdrop
from local import redis, triton
from local.errors import StartError
from local.ports import HOST, free_ports
from local.supervisor import Supervisor
from tests.k8s.images import buildah, confinement, plan, runtime
from tests.k8s.images.bundle import Container
from tests.k8s.images.program import ProgramError
from tests.k8s.rendering import ROOT, Manifest, containers, overlay, pod, settings, workloads

OVERLAY = "cpu"
PRODUCT = ROOT / "examples" / "product.png"
_PASSWORD = "BACKDROP_REDIS_PASSWORD_FILE"


@dataclasses.dataclass
class Report:
    """What became of the images.

    Attributes:
        built: names of the images that were built.
        obstacles: why each of the others cannot be built here, by name.
        problems: what failed, by name; an image without a problem was built and run.
        picture: whether a picture came out whose known pixels are the product's.
    """

    built: list[str] = dataclasses.field(default_factory=list)
    obstacles: dict[str, str] = dataclasses.field(default_factory=dict)
    problems: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    picture: bool = False


def attempt(folder: Path) -> Report:
    """Builds and runs everything, with volumes and logs in `folder`; failures are in the report."""
    report = Report()
    with contextlib.ExitStack() as stack:
        parts = {}
        for image in plan.images():
            if reason := plan.obstacle(image):
                report.obstacles[image.name] = reason
                continue
            try:
                part = parts[image.name] = stack.enter_context(container(image, folder))
                report.built.append(image.name)
                report.problems[image.name] = confinement.problems(part, folder)
            except ProgramError as problem:
                report.problems.setdefault(image.name, []).append(str(problem))
        if {"models", "orchestrator"} <= parts.keys():
            _run(parts, folder, report)
    return report


@contextlib.contextmanager
def container(image: plan.Image, folder: Path) -> Iterator[Container]:
    """The container of the manifests that runs an image, which is built for it."""
    image_id = buildah.build(image)
    spec, part = find(image.name)
    claims = {each["name"]: folder / "store" for each in spec["volumes"] if "persistentVolumeClaim" in each}
    for claim in claims.values():
        claim.mkdir(exist_ok=True)
        # What a kubelet does for fsGroup.
        os.chown(claim, -1, spec["securityContext"]["fsGroup"])
        claim.chmod(0o2775)
    with buildah.mounted(image_id) as root:
        yield Container(root, buildah.settings(image_id), spec, part, {}, claims)


def find(name: str) -> tuple[Manifest, Manifest]:
    """The pod and the container of the manifests that have the image."""
    return next(
        (pod(workload), part)
        for workload in workloads(overlay(OVERLAY))
        for part in containers(workload)
        if f"/backdrop/{name}@" in part["image"]
    )


def _run(parts: dict[str, Container], folder: Path, report: Report) -> None:
    """Publishes the models, serves them, and makes a picture."""
    try:
        runtime.once(parts["models"], folder)
    except ProgramError as problem:
        report.problems["models"].append(str(problem))
        return
    try:
        report.picture = _picture(parts["orchestrator"], folder)
    except (StartError, backdrop.BackdropError) as problem:
        report.problems["orchestrator"].append(str(problem))


def _picture(orchestrator: Container, folder: Path) -> bool:
    """Makes a picture through the container and real neighbours, and has its receipt checked."""
    ports, supervisor = free_ports(5), Supervisor()
    endpoint, cache = f"{HOST}:{ports[0]}", redis.service(ports[2], folder)
    listening = {"BACKDROP_LISTEN": endpoint, "BACKDROP_METRICS_LISTEN": f"{HOST}:{ports[1]}"}
    neighbours = {"BACKDROP_REDIS_URL": cache.endpoint, "BACKDROP_TRITON_ENDPOINTS": f"{HOST}:{ports[3]}"}
    # The Redis of one machine has no password.
    manifest = {name: value for name, value in settings(overlay(OVERLAY)).items() if name != _PASSWORD}
    configured = dataclasses.replace(orchestrator, variables=manifest | listening | neighbours)
    try:
        supervisor.start(cache)
        supervisor.start(triton.service("triton", folder / "store" / "repository", ports[3], ports[4], folder))
        with runtime.served(configured, folder, endpoint), backdrop.Client(endpoint) as client:
            task = backdrop.Background(PRODUCT)
            best = client.generate(task, prompt="a beach at sunset", variants=1, seed=7).result().best
            exact = best.receipt is not None and best.receipt.exact
            return exact and best.image().size == (best.width, best.height)
    finally:
        supervisor.stop()

"""The real thing: images built by buildah, containers run by runc, a picture through them."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
from pathlib import Path

import pytest

from tests.k8s.images import buildah, confinement, plan, program, runtime, trial

REASON = plan.missing()
pytestmark = [
    pytest.mark.full,
    pytest.mark.cluster,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(bool(REASON), reason=REASON),
]


def named(name: str) -> plan.Image:
    return next(image for image in plan.images() if image.name == name)


def test_a_picture_is_made_through_containers(tmp_path: Path) -> None:
    report = trial.attempt(tmp_path)
    assert report.problems == {"models": [], "orchestrator": []}
    assert report.built == ["models", "orchestrator"]
    assert list(report.obstacles) == ["engine-builder"]
    assert report.picture


def test_a_loose_container_is_noticed(tmp_path: Path) -> None:
    with trial.container(named("orchestrator"), tmp_path) as part:
        spec, pod = copy.deepcopy(part.spec), copy.deepcopy(part.pod)
        spec["securityContext"] |= {"readOnlyRootFilesystem": False, "allowPrivilegeEscalation": True}
        pod["securityContext"]["runAsUser"] = 0
        words = " ".join(confinement.problems(dataclasses.replace(part, spec=spec, pod=pod), tmp_path))
    for problem in ("runs as 0:10001", "may gain privileges", "has a writable root", "folders that are no volumes"):
        assert problem in words


@pytest.mark.parametrize(("name", "said"), [("models", ""), ("orchestrator", "BACKDROP_REPOSITORY")])
def test_an_image_s_own_command_checks_its_models_or_says_what_it_lacks(name: str, said: str, tmp_path: Path) -> None:
    with trial.container(named(name), tmp_path) as part:
        own = [*part.image["Entrypoint"], *part.image["Cmd"]]
        with pytest.raises(program.ProgramError, match=said) if said else contextlib.nullcontext():
            runtime.once(part, tmp_path, own)


def test_a_step_that_fails_is_quoted(tmp_path: Path) -> None:
    file = tmp_path / "x.Dockerfile"
    file.write_text("FROM python:3.11-slim\nRUN echo the reason >&2; exit 3\n")
    with pytest.raises(program.ProgramError, match="the reason"):
        buildah.build(plan.Image("x", file, ""))

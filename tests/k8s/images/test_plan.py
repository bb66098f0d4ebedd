"""Which images can be built here, and what is said about the others and about a machine without the programs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from k8s.release import NAMES
from tests.k8s.images import plan


def named(name: str) -> plan.Image:
    return next(image for image in plan.images() if image.name == name)


def test_every_image_of_a_release_has_its_file_and_stage() -> None:
    assert [image.name for image in plan.images()] == list(NAMES)
    for image in plan.images():
        assert image.file.is_file()
        assert not image.target or image.target in {stage.name for stage in image.stages}


@pytest.mark.parametrize("name", ["models", "orchestrator"])
def test_images_on_a_python_can_be_built(name: str) -> None:
    assert plan.obstacle(named(name)) == ""


def test_an_image_on_triton_cannot_and_the_reason_names_its_base() -> None:
    assert "tritonserver:26.06-py3" in plan.obstacle(named("engine-builder"))


def test_a_source_that_the_checkout_lacks_is_named(tmp_path: Path) -> None:
    file = tmp_path / "x.Dockerfile"
    file.write_text("FROM python:3.11-slim\nCOPY k8s/images/absent.txt backdrop /x/\n")
    assert plan.obstacle(plan.Image("x", file, "")) == "the checkout has no k8s/images/absent.txt"


def test_another_python_is_an_obstacle(tmp_path: Path) -> None:
    file = tmp_path / "x.Dockerfile"
    file.write_text("FROM python:3.12-slim\n")
    assert "python:3.12-slim" in plan.obstacle(plan.Image("x", file, ""))


def test_a_missing_program_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda program: None if program == "runc" else f"/usr/bin/{program}")
    assert plan.missing() == "no runc here: run `apt-get install runc`"


def test_without_root_the_reason_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda program: f"/usr/bin/{program}")
    monkeypatch.setattr(plan, "geteuid", lambda: 1000)
    assert "needs root" in plan.missing()

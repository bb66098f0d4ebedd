"""Dockerfiles: linted, replayed in a folder, and consistent with the manifests."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator import repository
from orchestrator.repository.published import is_published
from tests.k8s import checking
from tests.k8s.dockerfiles import Replayed, Stage, parse, replay
from tests.k8s.rendering import K8S, OVERLAYS, ROOT, containers, overlay, workloads

IMAGES = K8S / "images"
FILES = sorted(IMAGES.glob("*.Dockerfile"))
STAGES = {file.name: parse(file) for file in FILES}
LOCKS = sorted(IMAGES.glob("*.txt"))


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def stages(request: pytest.FixtureRequest) -> list[Stage]:
    return STAGES[request.param.name]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_hadolint_finds_nothing(file: Path) -> None:
    hadolint = checking.ENVIRONMENT / "bin" / "hadolint"
    if not hadolint.is_file():
        pytest.skip("no hadolint: install it with `make checkov`")
    run = subprocess.run([str(hadolint), str(file)], capture_output=True, text=True, check=False)
    assert run.stdout == ""
    assert "hadolint ignore" not in file.read_text()


def test_bases_are_pinned_by_digest(stages: list[Stage]) -> None:
    names = {stage.name for stage in stages}
    for stage in stages:
        assert stage.base in names or re.fullmatch(r"[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}", stage.base)


def test_the_engine_builder_has_the_triton_that_loads_its_engines() -> None:
    served = {c["image"] for w in workloads(overlay("gpu")) for c in containers(w) if "tritonserver" in c["image"]}
    assert {STAGES["engine-builder.Dockerfile"][0].base} == served


def test_images_do_not_run_as_root(stages: list[Stage]) -> None:
    # The first stages are not images.
    for stage in stages:
        if stage.name != "wheels":
            users = [rest for name, rest in stage.steps if name == "USER"]
            assert users == ["10001:10001"]


def test_whatever_is_installed_is_installed_by_hash(stages: list[Stage]) -> None:
    for stage in stages:
        for name, rest in stage.steps:
            if name == "RUN":
                assert rest.count("pip install") == rest.count("--require-hashes") == rest.count("--only-binary :all:")


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_a_lock_has_a_hash_for_every_wheel_and_our_versions(lock: Path) -> None:
    pinned = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    entries = re.findall(r"^([\w.-]+)==(\S+)((?:[^\n]*\\\n)*[^\n]*sha256:[0-9a-f]{64})", lock.read_text(), re.M)
    assert len(entries) == len(re.findall(r"^[\w.-]+==", lock.read_text(), re.M)) > 0
    ours = {name.lower().replace("_", "-"): version for name, version in pinned.items()}
    differing = {name: version for name, version, _ in entries if ours.get(name, version) != version}
    assert differing == {}


def test_every_image_of_ours_has_a_dockerfile() -> None:
    named = {
        re.sub(r"@.*", "", container["image"]).rpartition("/")[2]
        for name in OVERLAYS
        for workload in workloads(overlay(name))
        for container in containers(workload)
        if "registry.invalid" in container["image"]
    }
    built_here = {stage.name for stages in STAGES.values() for stage in stages} - {"wheels", "image"}
    assert named == built_here | {"engine-builder"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Replayed]:
    """The orchestrator's images, replayed: some 80 MB of wheels from the package index, by hash."""
    return replay(STAGES["orchestrator.Dockerfile"], tmp_path_factory.mktemp("orchestrator"))


@pytest.mark.slow
def test_the_orchestrator_starts_and_says_what_it_lacks(built: dict[str, Replayed]) -> None:
    run = built["orchestrator"].run()
    assert run.returncode == 1
    assert "BACKDROP_REPOSITORY" in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.slow
def test_the_orchestrator_has_what_it_imports_and_nothing_heavier(built: dict[str, Replayed]) -> None:
    code = "import orchestrator.__main__, orchestrator.triton, kubernetes.aio.client"
    image = built["orchestrator"]
    ours = {"PATH": "", **image.environment}
    run = subprocess.run(
        [sys.executable, "-S", "-c", code], env=ours, cwd=image.root, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert not any(
        (image.root / "opt/backdrop/packages" / heavy).exists() for heavy in ("torch", "onnxruntime", "pytest")
    )


@pytest.mark.slow
def test_the_models_image_publishes_what_it_holds(built: dict[str, Replayed], tmp_path: Path) -> None:
    models = built["models"]
    assert models.run().returncode == 0, "its own command checks the mark"
    assert is_published(models.root / "repository"), "pods that mount the image read no file again"
    publish = next(w for w in workloads(overlay("cpu")) if w["metadata"]["name"] == "publish-models")
    (container,) = containers(publish)
    assert container["command"][:2] == ["python", "-m"] == models.entry
    arguments = [a.replace("/store", str(tmp_path)) for a in [*container["command"][2:], *container["args"]]]
    run = models.run(arguments)
    assert run.returncode == 0, run.stderr
    assert repository.load(tmp_path / "repository").pipelines


def test_the_engine_builder_installs_what_its_code_imports(tmp_path: Path) -> None:
    # The base's Python is 3.12: its lock has no hashes of wheels for 3.11, so this part uses this environment's Python.
    stages = STAGES["engine-builder.Dockerfile"]
    text = (IMAGES / "engine-builder.txt").read_text()
    assert "tensorrt" not in text
    (image,) = replay(stages, tmp_path, missing=("tensorrt.txt", "engine-builder.txt")).values()
    for words in (["--help"], ["build", "--help"], ["serve", "--help"]):
        run = image.run(["export.engines", *words], PYTHONPATH=f"{image.environment['PYTHONPATH']}:{site()}")
        assert run.returncode == 0, run.stderr


def site() -> str:
    """The packages of this environment."""
    import filelock

    return str(Path(filelock.__file__).parents[1])


def test_the_context_is_what_the_files_copy() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        word
        for stages in STAGES.values()
        for stage in stages
        for name, rest in stage.steps
        if name == "COPY" and "--from" not in rest
        for word in rest.split()[:-1]
        if not word.startswith("--")
    }
    assert {word for word in copied if not word.endswith(".txt")} | {"k8s/images/*.txt"} == kept

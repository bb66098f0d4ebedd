"""What the seam asks of TensorRT, by a stand-in that records it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from export.engines import seam
from export.engines.gpu import Gpu, local_gpu
from export.engines.seam import BuildOptions
from export.errors import ExportError
from tests.export.engines.conftest import PROFILES
from tests.export.engines.fake import Tensorrt


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """A graph that the stand-in can read."""
    (tmp_path / "model.onnx").write_text('["sample"]')
    return tmp_path / "model.onnx"


def test_networks_are_strongly_typed_and_get_every_profile(graph: Path) -> None:
    fake = Tensorrt()
    assert seam.Tensorrt(fake).build(graph, PROFILES * 2, BuildOptions()) == b"plan"
    assert fake.networks[0].flags == 1 << 1
    (config,) = fake.configs
    shapes = PROFILES[0]["sample"]
    assert [profile.shapes for profile in config.profiles] == [{"sample": tuple(shapes.values())}] * 2
    assert (config.flags, config.hardware_compatibility_level, config.cache) == ([], None, None)


def test_compatibility_is_asked_for_by_name(graph: Path) -> None:
    fake = Tensorrt()
    seam.Tensorrt(fake).build(graph, PROFILES, BuildOptions(version_compatible=True, hardware="ampere_plus"))
    assert fake.configs[0].flags == ["version compatible"]
    assert fake.configs[0].hardware_compatibility_level == "ampere plus"


def test_the_timing_cache_grows_from_build_to_build(graph: Path, tmp_path: Path) -> None:
    builder, path = seam.Tensorrt(Tensorrt()), tmp_path / "deep" / "cache"
    for expected in (b"+", b"++"):
        builder.build(graph, PROFILES, BuildOptions(timing_cache=path))
        assert path.read_bytes() == expected


def test_a_timing_cache_of_another_gpu_is_begun_again(graph: Path, tmp_path: Path) -> None:
    path = tmp_path / "cache"
    path.write_bytes(b"foreign")
    seam.Tensorrt(Tensorrt()).build(graph, PROFILES, BuildOptions(timing_cache=path))
    assert path.read_bytes() == b"+"


def test_engines_that_are_compiled_where_they_run_have_no_timings(graph: Path, tmp_path: Path) -> None:
    fake = Tensorrt("tensorrt_rtx")
    seam.Tensorrt(fake).build(graph, PROFILES, BuildOptions(timing_cache=tmp_path / "cache"))
    assert fake.configs[0].cache is None
    assert not (tmp_path / "cache").exists()


def test_what_goes_wrong_is_one_sentence(graph: Path) -> None:
    fake = Tensorrt()
    builder = seam.Tensorrt(fake)
    with pytest.raises(ExportError, match="has the input sample, for which the repository has no shapes"):
        builder.build(graph, [{}], BuildOptions())
    fake.plan = None
    with pytest.raises(ExportError, match=r"tensorrt 10\.13\.3 built no engine"):
        builder.build(graph, PROFILES, BuildOptions())
    graph.write_text("{")
    with pytest.raises(ExportError, match=r"cannot parse it: In node 3: no such operator$"):
        builder.build(graph, PROFILES, BuildOptions())


def test_the_first_module_that_is_installed_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in seam.BUILDERS:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ExportError, match="Neither tensorrt nor tensorrt_rtx is installed here"):
        seam.find()
    with pytest.raises(ExportError, match="tensorrt is not installed here"):
        seam.find("tensorrt")
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", Tensorrt("tensorrt_rtx"))
    assert seam.find().is_rtx
    monkeypatch.setitem(sys.modules, "tensorrt", Tensorrt())
    assert seam.find().name == "tensorrt"


def test_where_an_engine_belongs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seam, "local_gpu", lambda: Gpu("NVIDIA-H200", "9.0", "580"))
    native, rtx = seam.Tensorrt(Tensorrt()), seam.Tensorrt(Tensorrt("tensorrt_rtx", "1.7.1"))
    assert seam.local_target(native, BuildOptions()) == seam.EngineTarget(
        "tensorrt", "10.13.3", "9.0", "NVIDIA-H200", "580"
    )
    wide = BuildOptions(version_compatible=True, hardware="ampere_plus")
    assert seam.local_target(native, wide) == seam.EngineTarget("tensorrt", "10.x", "8.0+")
    same = seam.local_target(native, BuildOptions(hardware="same_compute_capability"))
    assert same == seam.EngineTarget("tensorrt", "10.13.3", "9.0", "any", "any"), "no engine for one GPU alone"
    assert seam.local_target(rtx, BuildOptions()) == seam.EngineTarget("tensorrt_rtx", "1.7.1", "any")


@pytest.mark.parametrize(
    ("listed", "model"),
    [
        ("GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-1)\n", "NVIDIA-H100-80GB-HBM3"),
        (
            "GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-1)\n  MIG 3g.40gb     Device  0: (UUID: MIG-2)\n",
            "NVIDIA-H100-80GB-HBM3-MIG-3g.40gb",
        ),
    ],
)
def test_a_gpu_is_its_model_and_slice(monkeypatch: pytest.MonkeyPatch, listed: str, model: str) -> None:
    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        said = listed if "-L" in command else "NVIDIA H100 80GB HBM3, 9.0, 580.95.05\n"
        return subprocess.CompletedProcess(command, 0, said, "")

    monkeypatch.setattr(subprocess, "run", run)
    assert local_gpu() == Gpu(model, "9.0", "580")


def test_without_a_gpu_tensorrt_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise FileNotFoundError("nvidia-smi")

    monkeypatch.setattr(subprocess, "run", missing)
    with pytest.raises(ExportError, match="nvidia-smi finds none here"):
        seam.local_target(seam.Tensorrt(Tensorrt()), BuildOptions())

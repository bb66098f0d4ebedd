"""Engines in a shared store: built once, refused on the wrong node, linked into what Triton reads."""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from export.engines import __main__ as command
from export.engines import seam
from export.engines.builds import build_all
from export.engines.checker import WrongEngineError, check_engines
from export.engines.collect import collect, mark_used
from export.engines.gpu import Gpu
from export.engines.identity import EngineTarget
from export.engines.seam import BuildOptions
from export.engines.view import make_view
from export.errors import ExportError
from tests.export.engines.conftest import write
from tests.export.engines.fake import Tensorrt

H100 = EngineTarget("tensorrt", "10.13.3", "9.0", "NVIDIA-H100-80GB-HBM3", "580")
A10 = EngineTarget("tensorrt", "10.13.3", "8.6", "NVIDIA-A10", "580")


def quiet(name: str, what: str) -> None:
    """No progress."""


def build(repository: Path, store: Path, fake: Tensorrt, where: EngineTarget = H100) -> Any:
    """Builds the repository's only engine."""
    (engine,) = build_all(repository, store, seam.Tensorrt(fake), where, BuildOptions(), quiet)
    return engine


def test_the_path_says_what_the_engine_is(repository: Path, tmp_path: Path) -> None:
    engine = build(repository, tmp_path / "store", Tensorrt())
    entry = json.loads((repository / "pipeline.json").read_text())["models"]["denoiser"]
    model, mark, shapes, built, file = engine.path.relative_to(tmp_path / "store").parts
    assert (model, file) == ("denoiser", "model.plan")
    assert entry["fingerprint"].removeprefix("sha256:").startswith(mark)
    assert shapes.startswith("fp16-b8-")
    assert built == "tensorrt-10.13.3-sm9.0-NVIDIA-H100-80GB-HBM3-r580"
    assert engine.path.read_bytes() == b"plan"
    assert json.loads((engine.path.parent / "engine.json").read_text())["identity"]["compute_capability"] == "9.0"


def test_an_rtx_engine_is_never_called_a_plan(repository: Path, tmp_path: Path) -> None:
    where = EngineTarget("tensorrt_rtx", "1.7.1", "any")
    engine = build(repository, tmp_path / "store", Tensorrt("tensorrt_rtx", "1.7.1"), where)
    assert engine.path.name == "model.rtx"
    assert list((tmp_path / "store").rglob("*.plan")) == []
    with pytest.raises(ExportError, match=r"Triton serves model\.plan, not model\.rtx"):
        make_view(repository, tmp_path / "store", {"denoiser": engine.identity}, tmp_path / "view")


def test_what_is_there_is_not_built_again(repository: Path, tmp_path: Path) -> None:
    fake, store = Tensorrt(), tmp_path / "store"
    build(repository, store, fake)
    again = build(repository, store, fake)
    assert again.seconds == 0.0
    assert len(fake.networks) == 1
    again.path.write_bytes(b"pla")
    build(repository, store, fake)
    assert len(fake.networks) == 2, "a damaged engine is built again"
    assert again.path.read_bytes() == b"plan"


def test_other_graphs_and_other_gpus_have_engines_of_their_own(repository: Path, tmp_path: Path) -> None:
    fake, store = Tensorrt(), tmp_path / "store"
    paths = {build(repository, store, fake).path, build(repository, store, fake, A10).path}
    other = write(tmp_path / "other", precision="fp32")
    paths.add(build(other, store, fake).path)
    assert len(paths) == 3
    assert len(fake.networks) == 3


def test_of_nodes_that_start_at_once_one_builds(repository: Path, tmp_path: Path) -> None:
    fake, store = Tensorrt(), tmp_path / "store"
    builder = seam.Tensorrt(fake)
    plain = builder.build

    def slowly(*arguments: Any) -> bytes:
        time.sleep(0.2)
        return plain(*arguments)

    builder.build = slowly  # type: ignore[method-assign]
    result: list[Any] = []
    threads = [
        threading.Thread(
            target=lambda: result.extend(build_all(repository, store, builder, H100, BuildOptions(), quiet))
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(fake.networks) == 1
    assert [engine.path.read_bytes() for engine in result] == [b"plan"] * 4


def test_a_failed_build_leaves_no_engine(repository: Path, tmp_path: Path) -> None:
    fake, store = Tensorrt(), tmp_path / "store"
    fake.plan = None
    with pytest.raises(ExportError, match="built no engine"):
        build(repository, store, fake)
    assert [path for path in store.rglob("*") if path.is_file() and path.suffix != ".lock"] == []


def test_an_engine_of_another_node_is_refused_with_the_command(repository: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    with pytest.raises(WrongEngineError, match="there is no engine of it"):
        check_engines(repository, store, H100)
    build(repository, store, Tensorrt(), A10)
    with pytest.raises(WrongEngineError) as refusal:
        check_engines(repository, store, H100)
    assert "compute capability 8.6, this node needs 9.0; GPU NVIDIA-A10, this node needs" in str(refusal.value)
    command_line = f"python -m export.engines build --repository {repository} --store {store} --builder tensorrt"
    assert str(refusal.value).endswith(command_line)
    with pytest.raises(WrongEngineError, match=r"TensorRT version 10\.13\.3, this node needs 10\.14\.1"):
        check_engines(repository, store, replace(A10, version="10.14.1"))
    assert list(check_engines(repository, store, A10)) == ["denoiser"]


def test_an_engine_of_an_older_graph_is_refused(repository: Path, tmp_path: Path) -> None:
    build(write(tmp_path / "old", precision="fp32"), tmp_path / "store", Tensorrt())
    with pytest.raises(WrongEngineError, match="precision fp32, this node needs fp16"):
        check_engines(repository, tmp_path / "store", H100)


def test_a_damaged_engine_is_refused(repository: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    build(repository, store, Tensorrt()).path.write_bytes(b"")
    with pytest.raises(WrongEngineError, match="is damaged; build it again"):
        check_engines(repository, store, H100)


def test_triton_reads_a_folder_of_configs_and_links(repository: Path, tmp_path: Path) -> None:
    store, view = tmp_path / "store", tmp_path / "view"
    engine = build(repository, store, Tensorrt())
    for _ in range(2):
        make_view(repository, store, check_engines(repository, store, H100), view)
    assert (view / "denoiser" / "1" / "model.plan").read_bytes() == b"plan"
    config = text_format.Parse((view / "denoiser" / "config.pbtxt").read_text(), model_config_pb2.ModelConfig())
    assert (config.platform, config.default_model_filename) == ("tensorrt_plan", "model.plan")
    assert config.parameters["engine"].string_value == str(engine.identity)
    entry = json.loads((view / "pipeline.json").read_text())["models"]["denoiser"]
    assert config.parameters["fingerprint"].string_value == entry["fingerprint"]
    assert list(config.instance_group[0].profile) == ["0"]
    assert {path.name for path in view.rglob("*")} == {
        *("pipeline.json", "denoiser", "config.pbtxt", "1", "model.plan"),
    }


def test_a_view_replaces_nothing_else(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "photos" / "holiday").mkdir(parents=True)
    with pytest.raises(ExportError, match="holds something else"):
        make_view(repository, tmp_path, {}, tmp_path / "photos")


def test_a_repository_without_shapes_says_how_to_get_them(repository: Path, tmp_path: Path) -> None:
    content = json.loads((repository / "pipeline.json").read_text())
    del content["models"]["denoiser"]["profiles"]
    (repository / "pipeline.json").write_text(json.dumps(content))
    with pytest.raises(ExportError, match="export the repository again with --target tensorrt"):
        check_engines(repository, tmp_path / "store", H100)


@pytest.mark.parametrize(
    "other",
    [
        replace(H100, gpu="NVIDIA-H200"),
        replace(H100, gpu="NVIDIA-H100-80GB-HBM3-MIG-3g.40gb"),
        replace(H100, driver="590"),
    ],
    ids=["H200", "a slice", "another driver"],
)
def test_gpus_of_one_compute_capability_have_engines_of_their_own(
    repository: Path, tmp_path: Path, other: EngineTarget
) -> None:
    store = tmp_path / "store"
    build(repository, store, Tensorrt())
    with pytest.raises(WrongEngineError, match="is for another node"):
        check_engines(repository, store, other)
    assert build(repository, store, Tensorrt(), other).seconds > 0


def test_one_pod_builds_what_another_does_not(repository: Path, tmp_path: Path) -> None:
    content = json.loads((repository / "pipeline.json").read_text())
    content["models"]["second"] = content["models"]["denoiser"]
    (repository / "pipeline.json").write_text(json.dumps(content))
    (repository / "second").symlink_to(repository / "denoiser")
    builder, order = seam.Tensorrt(Tensorrt()), list[str]()
    plain = builder.build

    def slowly(graph: Path, *arguments: Any) -> bytes:
        order.append(graph.parents[1].name)
        time.sleep(0.3)
        return plain(graph, *arguments)

    builder.build = slowly  # type: ignore[method-assign]

    def pod() -> None:
        build_all(repository, tmp_path / "store", builder, H100, BuildOptions(), quiet)

    threads = [threading.Thread(target=pod) for _ in range(2)]
    for thread in threads:
        thread.start()
        time.sleep(0.1)
    assert sorted(order) == ["denoiser", "second"], "at the same time"
    for thread in threads:
        thread.join()
    assert len(order) == 2


def test_containers_with_one_process_number_do_not_share_a_partial_file(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In every container the process number is 1. Without locks between nodes, both pods build.
    monkeypatch.setattr(os, "getpid", lambda: 1)
    store, builder, folders, rename = tmp_path / "store", seam.Tensorrt(Tensorrt()), list[str](), Path.rename

    def renamed(self: Path, target: Path) -> Path:
        folders.append(self.name)
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", renamed)
    for _ in range(2):
        (engine,) = build_all(repository, store, builder, H100, BuildOptions(), quiet)
        engine.path.write_bytes(b"damaged")
    assert len(set(folders)) == 2


def test_engines_that_nobody_uses_are_removed(repository: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    old, new, used = (
        build(repository, store, Tensorrt(), replace(H100, version=version))
        for version in ("10.12", "10.13.3", "10.11")
    )
    month_ago = time.time() - 31 * 86_400
    for engine in (old, new, used):
        os.utime(engine.path.parent / "engine.json", (month_ago, month_ago))
    stopped = new.path.parent.with_name(".build.0.partial")
    stopped.mkdir()
    os.utime(stopped, (month_ago, month_ago))
    mark_used(store, [used.identity])
    assert collect(store, [new.identity], days=32) == [stopped]
    assert collect(store, [new.identity], days=30) == [old.path.parent]
    assert new.path.is_file()
    assert used.path.is_file()


def test_a_pod_builds_only_what_its_triton_serves(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = Tensorrt()
    content = json.loads((repository / "pipeline.json").read_text())
    content["models"]["second"] = content["models"]["denoiser"]
    (repository / "pipeline.json").write_text(json.dumps(content))
    monkeypatch.setattr(seam, "find", lambda name: seam.Tensorrt(fake))
    monkeypatch.setattr(seam, "local_gpu", lambda: Gpu(H100.gpu, "9.0", "580"))
    options = ["--repository", str(repository), "--store", str(tmp_path / "store"), "--view", str(tmp_path / "view")]
    assert command.main(["serve", *options, "--build-missing", "--keep-days=90", "--model=denoiser"]) == 0
    assert {path.name for path in (tmp_path / "view").iterdir()} == {"denoiser", "pipeline.json"}
    assert len(fake.networks) == 1
    assert command.main(["serve", *options, "--model=decoder"]) == 1
    assert "has no model decoder; it has denoiser, second" in capsys.readouterr().err


def test_the_entry_point_builds_checks_and_serves(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(seam, "find", lambda name: seam.Tensorrt(Tensorrt()))
    monkeypatch.setattr(seam, "local_gpu", lambda: Gpu(H100.gpu, "9.0", "580"))
    options = ["--repository", str(repository), "--store", str(tmp_path / "store")]
    assert command.main(["check", *options]) == 1
    assert "there is no engine of it" in capsys.readouterr().err
    assert command.main(["build", *options, "--timing-cache", str(tmp_path / "timing")]) == 0
    assert command.main(["serve", *options, "--view", str(tmp_path / "view")]) == 0
    assert "1 engines fit this node" in capsys.readouterr().err
    assert (tmp_path / "view" / "denoiser" / "config.pbtxt").is_file()
    assert [file.name for file in tmp_path.glob("timing*")] == [f"timing.tensorrt-10.13.3-{H100.gpu}-r580"]

"""The tour of docs/export.md, run line by line on a small SDXL folder."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from bench.figures import ROOT
from tests.export.oracle.extras import add_style, write_lora
from tests.export.oracle.folders import write_sdxl
from tests.fenced import blocks, commands

PAGE = ROOT / "docs" / "export.md"
START, END = "\n## A tour", "\n## What can be exported"
SERVE = ["backdrop", "up"]
BEFORE = ("make", "source", "hf")
"""Commands that fetch what the test has already: the environment, and files of the hub."""


def tour() -> str:
    """The tour's part of the page."""
    return PAGE.read_text().split(START)[1].split(END)[0]


def write_files(place: Path) -> None:
    """Writes what the tour downloads, and the rest of the checkout that its commands name."""
    folder = place / "my-sdxl"
    write_sdxl(folder)
    write_lora(folder, "kohya", place / "loras").rename(place / "watercolour.safetensors")
    write_lora(folder, "diffusers", place / "loras").rename(place / "ink.safetensors")
    styled = Path(shutil.copytree(folder, place / "styled-sdxl"))
    add_style(styled)
    published = place / "ip-adapter" / "sdxl_models"
    published.mkdir(parents=True)
    (styled / "ip_adapter" / "ip-adapter.safetensors").rename(published / "ip-adapter_sdxl.safetensors")
    (styled / "image_encoder").rename(published / "image_encoder")
    for file in folder.rglob("*.safetensors"):
        file.rename(file.with_suffix(".fp16.safetensors"))
    for name in ("training", "examples"):
        (place / name).symlink_to(ROOT / name)
    program = place / "bin" / "backdrop"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m backdrop "$@"\n')
    program.chmod(0o755)


@contextlib.contextmanager
def cluster(words: list[str], place: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """Runs `backdrop up`, on the tour's own port."""
    port = environment["BACKDROP_ENDPOINT"].rpartition(":")[2]
    with (place / "up.log").open("ab") as log:
        command = [*words, "--port", port, "--log-dir", str(place / "logs")]
        process = subprocess.Popen(command, cwd=place, env=dict(environment), stdout=log, stderr=log)
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0, (place / "up.log").read_text()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_the_tour_names_what_the_run_replaces() -> None:
    lines = [words for language, content in blocks(tour()) if language == "sh" for words in commands(content)]
    assert [words[0] for words in lines if words[0] in BEFORE] == ["make", "source", "hf", "hf"]
    assert sum(words[:2] == SERVE for words in lines) == 3
    assert all(words[:2] != SERVE or words == content[-1] for content in shell() for words in content)


def shell() -> list[list[list[str]]]:
    """The commands of each block of shell."""
    return [commands(content) for language, content in blocks(tour()) if language == "sh"]


@pytest.mark.full
@pytest.mark.cluster
@pytest.mark.timeout(3600)
def test_the_tour_works_line_by_line(tmp_path: Path) -> None:
    write_files(tmp_path)
    paths = os.pathsep.join([str(tmp_path / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {
        "PATH": paths,
        "PYTHONPATH": str(ROOT),
        "BACKDROP_ENDPOINT": f"127.0.0.1:{free_port()}",
    }
    with contextlib.ExitStack() as stack:
        for language, content in blocks(tour()):
            if language == "python":
                subprocess.run([sys.executable, "-c", content], cwd=tmp_path, env=environment, check=True)
                continue
            for words in commands(content):
                if words[0] in BEFORE:
                    continue
                if words[0] == "python":
                    # An export begins after Ctrl-C.
                    stack.close()
                if words[:2] == SERVE:
                    stack.enter_context(cluster(words, tmp_path, environment))
                    continue
                result = subprocess.run(
                    words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
                )
                print(" ".join(words), result.stdout, result.stderr, sep="\n", flush=True)
                assert result.returncode == 0, result.stderr
    expect_pictures(tmp_path)


def run(words: list[str], place: Path, environment: Mapping[str, str]) -> None:
    """Runs a command to its end, and shows what it said."""
    result = subprocess.run(words, cwd=place, env=environment, capture_output=True, text=True, check=False)
    print(" ".join(words), result.stdout, result.stderr, sep="\n", flush=True)
    assert result.returncode == 0, result.stderr


def expect_pictures(place: Path) -> None:
    """Every request wrote its picture; LoRA and style picture show, and Python's picture is the command line's."""
    pictures = {
        name: (place / name / "1.png").read_bytes() for name in ("lighthouse", "watercolour", "styled", "beach")
    }
    assert len({*pictures.values()}) == 4
    assert (place / "lighthouse.png").read_bytes() == pictures["lighthouse"]
    assert (place / "try.png").is_file()
    assert not (place / "my-repository" / "denoiser" / "1").exists(), "pruned"
    assert (place / "my-repository" / "denoiser" / "2" / "model.onnx").is_file()

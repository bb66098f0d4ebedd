"""The other commands: information, one for each task, help, and `up`."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import backdrop
from backdrop._cli.task_command import name_of
from backdrop._cli.up import find_checkout
from backdrop._describe import options_of
from backdrop.contract.rules import TASKS as RULES
from backdrop.tasks import TASKS
from backdrop.testing import FakeBackdrop
from tests.backdrop.command_line import MASK, PHOTO, ROOT, generate, run, said
from tests.pictures import encoded


def test_info_shows_pipelines_limits_and_models(fake: FakeBackdrop) -> None:
    result = run("info", "--endpoint", fake.endpoint)
    assert result.exit_code == 0
    for word in (
        fake.endpoint,
        "backdrop (default)",
        "dpmpp_2m",
        "denoiser",
        "256×256",
        "16,000,000",
        "backdrop-fast",
        "backdrop-dit",
        "lcm",
        "flow_euler",
        "yes, image scale 1",
        "aurelia, neon, pencil, winter; up to 3 at once",
        "denoiser_dit",
        "text_to_image",
    ):
        assert word in result.stdout


def test_a_server_without_reward_model_and_segmenter_is_shown_as_it_is(product: Path) -> None:
    with FakeBackdrop(without=("reward", "segmenter")) as fake:
        result = generate(fake, product, "--variants", "2")
        assert result.exit_code == 0, result.output
        assert "score" not in result.output
        described = json.loads((product.parent / "out" / "result.json").read_text())
        assert [picture["scores"] for picture in described["pictures"]] == [None, None]
        assert [picture["variant"] for picture in described["pictures"]] == [0, 1]
        shown = " ".join(run("info", "--endpoint", fake.endpoint, env={"COLUMNS": "200"}).stdout.split())
        assert "none: pictures come in the order of their variants" in shown
        assert "must be sent: no segmenter" in shown


def test_info_shows_a_tenant_its_quotas() -> None:
    with FakeBackdrop(quotas={"concurrent_requests": 7}) as fake:
        shown = run("info", "--endpoint", fake.endpoint).stdout
        described = json.loads(run("info", "--endpoint", fake.endpoint, "--json").stdout)
    assert re.search(r"concurrent requests\W+0\W+7\b", shown)
    assert described["quotas"] == [{"name": "concurrent_requests", "limit": 7.0, "used": 0.0}]


def test_info_as_json(fake: FakeBackdrop) -> None:
    described = json.loads(run("info", "--endpoint", fake.endpoint, "--json").stdout)
    assert described["endpoint"] == fake.endpoint
    assert described["pipelines"][0]["schedulers"] == ["ddim", "euler", "dpmpp_2m", "ddpm"]
    assert described["limits"]["max_variants"] == 16
    takes = {pipeline["name"]: pipeline["takes_style_images"] for pipeline in described["pipelines"]}
    assert takes == {"backdrop": True, "backdrop-fast": True, "backdrop-dit": False}


def test_info_waits_and_gives_up(fake: FakeBackdrop) -> None:
    fake.set_ready(False)
    begin = time.monotonic()
    assert run("info", "--endpoint", fake.endpoint, "--wait", "0.5").exit_code == 3
    assert time.monotonic() - begin > 0.4
    fake.set_ready(True)
    assert run("info", "--endpoint", fake.endpoint, "--wait", "5").exit_code == 0


def test_text_to_image_has_a_command_of_its_own(fake: FakeBackdrop, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run(
        "text-to-image", "--out", out, "--endpoint", fake.endpoint, "--prompt", "a beach", "--steps", "2",
        "--variants", "2", "--size", "128x96",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    request = fake.requests[-1]
    assert request.WhichOneof("task") == "text_to_image"
    assert request.conditioning.prompt == "a beach"
    assert sorted(path.name for path in out.iterdir()) == ["1.png", "2.png", "contact_sheet.png", "result.json"]
    described = json.loads((out / "result.json").read_text())
    assert described["settings"]["task"] == "text_to_image"
    assert described["pictures"][0]["receipt"] is None
    assert "product" not in described


def test_relight_writes_a_map_of_what_changed(fake: FakeBackdrop, tmp_path: Path) -> None:
    out, picture, mask = tmp_path / "out", tmp_path / "picture.png", tmp_path / "mask.png"
    picture.write_bytes(encoded(PHOTO))
    mask.write_bytes(encoded(MASK))
    result = run("relight", "--picture", picture, "--mask", mask, "--out", out, "--endpoint", fake.endpoint)
    assert result.exit_code == 0, result.output
    names = ["1.png", "1_changes.png", "contact_sheet.png", "result.json"]
    assert sorted(path.name for path in out.iterdir()) == names
    with Image.open(out / "1_changes.png") as changes, Image.open(out / "1.png") as relit:
        assert np.array_equal(np.asarray(changes), np.abs(np.asarray(relit).astype(int) - PHOTO).max(axis=-1))
    described = json.loads((out / "result.json").read_text())["pictures"][0]
    assert described["file"] == "1.png"
    assert described["receipt"]["changes"]["changed_pixels"] > 0
    assert "border changed by" in result.stdout


def test_a_task_without_what_it_needs_names_the_flag(fake: FakeBackdrop, tmp_path: Path) -> None:
    result = run("text-to-image", "--out", tmp_path / "out", "--endpoint", fake.endpoint)
    assert result.exit_code == 2
    assert "needs --prompt or --style; set it." in said(result)


def test_a_task_that_the_pipeline_does_not_serve_names_the_flag(fake: FakeBackdrop, tmp_path: Path) -> None:
    fake.info.pipelines[1].tasks[:] = ["background"]
    result = run(
        "text-to-image", "--out", tmp_path / "out", "--endpoint", fake.endpoint, "--prompt", "a", "--pipeline",
        "backdrop-fast",
    )  # fmt: skip
    assert result.exit_code == 2
    assert "Change --pipeline." in said(result)


@pytest.mark.parametrize("task", TASKS.values())
def test_every_task_has_a_command_with_its_flags(task: type[backdrop.Task]) -> None:
    shown = run(name_of(task), "--help", env={"COLUMNS": "120"}).stdout
    refused = RULES[task.name].refused
    taken, not_taken = {"--out", "--endpoint"}, set()
    for option in (*options_of(task).values(), *options_of(backdrop.Options).values()):
        (not_taken if option.path in refused else taken).update(flag.name for flag in option.flags)
    assert {flag for flag in taken | not_taken if f"{flag} " in shown} == taken


@pytest.mark.parametrize("command", [[], ["up"], ["background"], ["generate"], ["text-to-image"], ["info"]])
def test_help_is_there(command: list[str]) -> None:
    result = run(*command, "--help", env={"COLUMNS": "120"})
    assert result.exit_code == 0
    assert "Usage:" in result.stdout


def test_version() -> None:
    assert run("--version").stdout == f"backdrop {backdrop.__version__}\n"


class TestUp:
    """`backdrop up` hands over to `python -m local` of the checkout."""

    @pytest.fixture
    def checkout(self, tmp_path: Path) -> Path:
        """A folder with the package, and a cluster that tells what it was started with, then waits for a signal."""
        root = tmp_path / "checkout"
        shutil.copytree(ROOT / "backdrop", root / "backdrop", ignore=shutil.ignore_patterns("__pycache__"))
        (root / "local").mkdir()
        (root / "triton_repo").mkdir()
        (root / "triton_repo" / "pipeline.json").write_text("{}")
        (root / "local" / "__main__.py").write_text(
            "import os, signal, sys\n"
            "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
            "signal.signal(signal.SIGINT, lambda *_: sys.exit(8))\n"
            "sys.stdout.write(repr((os.getcwd(), sys.argv[1:])) + '\\n')\n"
            "sys.stdout.flush()\n"
            "signal.pause()\n"
        )
        return root

    @pytest.mark.parametrize(("sent", "status"), [(signal.SIGTERM, 7), (signal.SIGINT, 8)])
    def test_signals_and_exit_status_pass(self, checkout: Path, sent: signal.Signals, status: int) -> None:
        command = [sys.executable, "-m", "backdrop", "up", "--port", "1234", "--log-dir", "logs", "--replicas", "2"]
        with subprocess.Popen(command, cwd=checkout, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            told = process.stdout.readline()
            expected = ["--port=1234", f"--log-dir={checkout / 'logs'}", "--replicas", "2"]
            assert told.strip() == repr((str(checkout), expected))
            process.send_signal(sent)
            assert process.wait(5) == status

    def test_a_checkout_without_models_says_so(self, checkout: Path) -> None:
        (checkout / "triton_repo" / "pipeline.json").unlink()
        command = [sys.executable, "-m", "backdrop", "up"]
        done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert "pipeline.json" in done.stderr

    def test_outside_a_checkout_it_says_what_the_wheel_is(self, checkout: Path, tmp_path: Path) -> None:
        shutil.rmtree(checkout / "local")
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        command = [sys.executable, "-m", "backdrop", "up"]
        env = {**os.environ, "PYTHONPATH": str(checkout)}
        done = subprocess.run(command, cwd=elsewhere, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert "clone" in done.stderr
        assert "Traceback" not in done.stderr

    def test_this_checkout_is_found(self) -> None:
        assert find_checkout() == ROOT

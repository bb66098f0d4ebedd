"""The command line: what it writes, what it says, how it exits."""

from __future__ import annotations

import functools
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

import backdrop
from backdrop import Reason
from backdrop._cli.task_command import name_of
from backdrop._cli.up import find_checkout
from backdrop._describe import options_of
from backdrop._text import parse_style
from backdrop.cli import app
from backdrop.contract.rules import TASKS as RULES
from backdrop.tasks import TASKS
from backdrop.testing import FakeBackdrop
from backdrop.v1 import generation_service_pb2 as pb
from tests.pictures import ellipse_mask, noisy_photo

ROOT = Path(backdrop.__file__).resolve().parents[1]
PHOTO = noisy_photo(96, 64)
MASK = ellipse_mask(96, 64)


@pytest.fixture
def product(tmp_path: Path) -> Path:
    path = tmp_path / "mug.png"
    Image.fromarray(np.dstack([PHOTO, MASK])).save(path)
    return path


def run(*arguments: str | Path, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env=env)


def generate(fake: FakeBackdrop, product: Path, *more: str | Path) -> Result:
    out = product.parent / "out"
    return run("generate", "--product", product, "--out", out, "--endpoint", fake.endpoint, "--steps", "3", *more)


def said(result: Result) -> str:
    assert "Traceback" not in result.output
    return " ".join(result.stderr.split())


def test_generate_writes_pictures_result_and_contact_sheet(fake: FakeBackdrop, product: Path, tmp_path: Path) -> None:
    result = generate(fake, product, "--prompt", "on a beach", "--variants", "3", "--top-k", "2", "--seed", "5")
    assert result.exit_code == 0, result.output
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == ["1.png", "2.png", "contact_sheet.png", "result.json"]
    made = np.asarray(Image.open(out / "1.png"))
    assert np.array_equal(made[MASK == 255], PHOTO[MASK == 255])
    for name in ("1.png", "2.png", "result.json", "contact_sheet.png"):
        assert str(out / name) in result.stdout
    described = json.loads((out / "result.json").read_text())
    assert described["prompt"] == "on a beach"
    assert described["product"] == "mug.png"
    assert described["endpoint"] == fake.endpoint
    assert [picture["file"] for picture in described["pictures"]] == ["1.png", "2.png"]
    best = described["pictures"][0]
    assert best["rank"] == 1
    assert best["scores"]["total"] >= described["pictures"][1]["scores"]["total"]
    assert best["receipt"]["max_difference"] == 0
    assert described["settings"]["seed"] == 5
    assert described["settings"]["steps"] == 3
    assert described["request_id"]
    assert described["model_fingerprints"]["denoiser"].startswith("sha256:")
    assert {timing["stage"] for timing in described["timings"]} >= {"denoise", "decode"}
    assert set(described["cache"]) == {"memory_hits", "redis_hits", "misses"}


def test_the_commands_of_the_readme_run(fake: FakeBackdrop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "README.md").read_text()
    commands = [shlex.split(line) for line in text.splitlines() if line.startswith("backdrop generate ")]
    assert commands
    monkeypatch.chdir(tmp_path)
    for name in ("photo.png", "mood.png", "light.jpg"):
        Image.fromarray(PHOTO).save(name)
    for _, *arguments in commands:
        result = run(*arguments, "--endpoint", fake.endpoint)
        assert result.exit_code == 0, result.output
        assert (tmp_path / "pictures" / "1.png").exists()


def test_every_option_reaches_the_server(fake: FakeBackdrop, product: Path, tmp_path: Path) -> None:
    mask = tmp_path / "mask.png"
    Image.fromarray(MASK).save(mask)
    result = generate(
        fake, product, "--mask", mask, "--negative-prompt", "people", "--size", "128x96", "--padding", "0.1",
        "--align", "left", "--valign", "bottom", "--scheduler", "euler", "--guidance-scale", "2.5", "--format", "webp",
        "--pipeline", "backdrop", "--idempotency-key", "k1", "--preview", "--priority", "bulk",
        "--guidance-window", "0.0-0.5",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    request = fake.requests[-1]
    assert request.background.mask == mask.read_bytes()
    assert request.background.product == product.read_bytes()
    sampling, delivery = request.sampling, request.delivery
    assert (request.conditioning.negative_prompt, sampling.pipeline) == ("people", "backdrop")
    assert (request.idempotency_key, request.priority) == ("k1", pb.PRIORITY_BULK)
    assert (delivery.size.width, delivery.size.height) == (128, 96)
    fit = request.background.placement.fit
    assert (round(fit.padding, 3), fit.horizontal, fit.vertical) == (0.1, 1, 3)
    assert (sampling.scheduler, sampling.guidance_scale, delivery.format) == (2, 2.5, 3)
    assert (sampling.guidance_window.start, sampling.guidance_window.stop) == (0.0, 0.5)
    assert delivery.preview_every == 2
    assert (tmp_path / "out" / "1.webp").read_bytes()[8:12] == b"WEBP"
    assert (tmp_path / "out" / "preview-1.jpg").exists()


def test_warnings_go_to_stderr_and_into_the_result(fake: FakeBackdrop, product: Path, tmp_path: Path) -> None:
    mask = tmp_path / "mask.png"
    Image.fromarray(np.minimum(MASK, 254).astype(np.uint8)).save(mask)
    result = generate(fake, product, "--mask", mask, "--image-scale", "0.5")
    assert result.exit_code == 0, result.output
    assert "warning background.mask is nearly binary" in result.stderr
    assert "warning conditioning.image_scale has no effect" in result.stderr
    assert "nearly binary" not in result.stdout
    described = json.loads((tmp_path / "out" / "result.json").read_text())
    assert [each["reason"] for each in described["warnings"]] == ["NO_EFFECT", "MASK_SNAPPED"]


def test_a_box_reaches_the_server(fake: FakeBackdrop, product: Path) -> None:
    assert generate(fake, product, "--box", "1, 2,30,40").exit_code == 0
    box = fake.requests[-1].background.placement.box
    assert (box.x, box.y, box.width, box.height) == (1, 2, 30, 40)


@pytest.mark.parametrize(
    ("text", "rounds"),
    [
        ("2", [pb.EarlyDropping(keep=2)]),
        ("3@.25", [pb.EarlyDropping(keep=3, after=0.25)]),
        ("3@0.25, 2@0.75", [pb.EarlyDropping(keep=3, after=0.25), pb.EarlyDropping(keep=2, after=0.75)]),
        ("3@draft2,2@0.75", [pb.EarlyDropping(keep=3, draft_steps=2), pb.EarlyDropping(keep=2, after=0.75)]),
    ],
)
def test_rounds_of_dropping_reach_the_server(
    text: str, rounds: list[pb.EarlyDropping], fake: FakeBackdrop, product: Path
) -> None:
    result = generate(fake, product, "--variants", "4", "--top-k", "1", "--keep", text)
    assert result.exit_code == 0, result.output
    assert list(fake.requests[-1].selection.early_dropping) == rounds


def test_rounds_that_cannot_be_read_are_said_to_be_so(fake: FakeBackdrop, product: Path) -> None:
    result = generate(fake, product, "--keep", "half")
    assert result.exit_code != 0
    assert "3@draft6" in result.output


def test_style_pictures_and_their_scale_reach_the_server(fake: FakeBackdrop, product: Path, tmp_path: Path) -> None:
    beach, colon = tmp_path / "beach.png", tmp_path / "9:30.png"
    for path, colour in ((beach, "orange"), (colon, "navy")):
        Image.new("RGB", (9, 7), colour).save(path)
    odd = tmp_path / "beach.png:2"
    Image.new("RGB", (9, 7), "red").save(odd, "PNG")
    options: list[str | Path] = ["--style", beach, "--style", f"{colon}:0.5", "--style", odd, "--style", f"{odd}:3"]
    result = generate(fake, product, *options, "--image-scale", "0.8", "--pipeline", "backdrop-fast")
    assert result.exit_code == 0, result.output
    request = fake.requests[-1]
    sent = [(style.image, style.weight) for style in request.conditioning.style_images]
    assert sent == [(beach.read_bytes(), 1), (colon.read_bytes(), 0.5), (odd.read_bytes(), 1), (odd.read_bytes(), 3)]
    assert (round(request.conditioning.image_scale, 3), request.sampling.pipeline) == (0.8, "backdrop-fast")
    described = json.loads((tmp_path / "out" / "result.json").read_text())
    assert described["style_images"][1] == {"file": "9:30.png", "weight": 0.5}
    assert round(described["settings"]["image_scale"], 3) == 0.8


def test_adapters_and_their_weights_reach_the_server(fake: FakeBackdrop, product: Path, tmp_path: Path) -> None:
    result = generate(fake, product, "--adapter", "aurelia:0.5", "--adapter", "pencil", "--adapter", "neon:-.25")
    assert result.exit_code == 0, result.output
    sent = [(adapter.name, adapter.weight) for adapter in fake.requests[-1].conditioning.adapters]
    assert sent == [("aurelia", 0.5), ("pencil", 1.0), ("neon", -0.25)]
    described = json.loads((tmp_path / "out" / "result.json").read_text())
    assert described["settings"]["adapters"][0] == {"name": "aurelia", "weight": 0.5}
    assert described["model_fingerprints"]["adapter:pencil"].startswith("sha256:")


@pytest.mark.parametrize(
    ("text", "path", "weight"),
    [
        ("a.png", "a.png", 1.0),
        ("a.png:2", "a.png", 2.0),
        ("a.png:.5", "a.png", 0.5),
        ("C:\\looks\\a.png", "C:\\looks\\a.png", 1.0),
        ("C:\\looks\\a.png:1.5", "C:\\looks\\a.png", 1.5),
        ("C:a.png", "C:a.png", 1.0),
        ("a:b:3", "a:b", 3.0),
        ("a.png:heavy", "a.png:heavy", 1.0),
        (":2", ":2", 1.0),
    ],
)
def test_a_colon_is_the_weights_only_before_a_number(text: str, path: str, weight: float) -> None:
    style = parse_style(text)
    assert (str(style.picture), style.weight) == (path, weight)


def test_without_options_the_server_chooses(fake: FakeBackdrop, product: Path, tmp_path: Path) -> None:
    env = {"BACKDROP_ENDPOINT": fake.endpoint}
    assert run("generate", "--product", product, "--out", tmp_path / "out", env=env).exit_code == 0
    request = fake.requests[-1]
    expected = pb.GenerateRequest(background=pb.BackgroundTask(product=product.read_bytes()))
    expected.idempotency_key = request.idempotency_key
    assert request == expected


def test_progress_goes_to_stderr_in_plain_lines(fake: FakeBackdrop, product: Path) -> None:
    result = generate(fake, product, "--variants", "2")
    for line in ("making the scenes", "variant 2: step 3 of 3", "variant 1: score"):
        assert line in result.stderr
        assert line not in result.stdout


BAD = [
    (["--steps", "0"], "Change --steps."),
    (["--steps", "-1"], "Change --steps."),
    (["--size", "10x10"], "Change --size."),
    (["--size", "big"], "write WIDTHxHEIGHT"),
    (["--padding", "0.9"], "Change --padding."),
    (["--box", "0,0,9"], "write X,Y,WIDTH,HEIGHT"),
    (["--box", "0,0,999,999"], "Change --box."),
    (["--box", "0,0,9,9", "--align", "left"], "--padding, --align and the other flags cannot"),
    (["--scheduler", "karras"], "ddim, euler, dpmpp_2m, ddpm"),
    (["--format", "bmp"], "Change --format."),
    (["--mask", "/no/such/mask.png"], "Change --mask."),
    (["--pipeline", "other"], "Change --pipeline."),
    (["--variants", "2", "--top-k", "3"], "Change --top-k."),
    (["--guidance-scale", "nan"], "Change --guidance-scale."),
    (["--prompt", "word " * 100], "Change --prompt."),
    (["--style", "/no/such/style.png"], "Change --style."),
    (["--style", f"{__file__}:1"], "Change --style."),
    (["--style", f"{__file__}:0"], "Change --style."),
    (
        ["--style", __file__, "--pipeline", "backdrop-dit"],
        "on this server these do: backdrop, backdrop-fast. Change --style.",
    ),
    (["--image-scale", "3"], "Change --image-scale."),
    (["--adapter", "sepia"], "it has aurelia, neon, pencil, winter. Change --adapter."),
    (["--adapter", "aurelia", "--adapter", "aurelia:0.5"], "Change --adapter."),
    (["--adapter", "aurelia:strong"], "write NAME or NAME:WEIGHT"),
    (["--adapter", "aurelia:6"], "Change --adapter."),
    (["--adapter", "aurelia", "--pipeline", "backdrop-fast"], "these have it: backdrop. Change --adapter."),
    (["--steps", "51", "--pipeline", "backdrop-fast"], "Change --steps."),
    (["--variants", "4", "--keep", "5"], "Change --keep."),
    (["--variants", "4", "--keep", "half"], "Change --keep."),
    (["--variants", "4", "--keep", "2@1.5"], "Change --keep."),
    (["--guidance-window", "0.7-0.2"], "Change --guidance-window."),
    (["--priority", "urgent"], "Change --priority."),
    (["--idempotency-key", "ü"], "Change --idempotency-key."),
    (["--timeout", "0"], "Change --timeout."),
]


@pytest.mark.parametrize(("options", "expected"), BAD, ids=lambda part: str(part)[:30])
def test_bad_input_exits_with_2_and_one_sentence(
    fake: FakeBackdrop, product: Path, options: list[str], expected: str
) -> None:
    result = generate(fake, product, *options)
    assert result.exit_code == 2
    assert expected in said(result)
    assert "Error: " in result.stderr
    assert not result.stdout


def test_a_product_that_cannot_be_read_is_bad_input(fake: FakeBackdrop, tmp_path: Path) -> None:
    result = generate(fake, tmp_path / "nothing.png")
    assert result.exit_code == 2
    assert "nothing.png" in said(result)
    assert not fake.requests


def test_a_folder_that_cannot_be_written_costs_no_generation(fake: FakeBackdrop, product: Path) -> None:
    (product.parent / "out").write_text("a file")
    assert generate(fake, product).exit_code == 2
    assert not fake.requests


FAILURES = [
    (Reason.NO_REPLICA, 3),
    (Reason.DRAINING, 3),
    (Reason.QUEUE_FULL, 4),
    (Reason.DEADLINE_EXCEEDED, 4),
    (Reason.IDEMPOTENCY_KEY_REUSED, 2),
    (Reason.PERMISSION_DENIED, 1),
    (Reason.INTERNAL, 1),
]


@pytest.mark.parametrize(("reason", "status"), FAILURES)
def test_failures_have_their_exit_status(fake: FakeBackdrop, product: Path, reason: Reason, status: int) -> None:
    fake.fail_next(reason, times=9, message="It went wrong.")
    result = generate(fake, product)
    assert result.exit_code == status
    assert "Error: It went wrong." in said(result)
    if reason is Reason.INTERNAL:
        assert "quote request" in said(result)


def test_no_server_exits_with_3_and_says_how_to_get_one(product: Path, tmp_path: Path) -> None:
    for arguments in (["generate", "--product", product, "--out", tmp_path / "out"], ["info"]):
        result = run(*arguments, "--endpoint", "127.0.0.1:1")
        assert result.exit_code == 3
        assert "backdrop up" in said(result)
        assert "127.0.0.1:1" in said(result)


def test_out_of_time_exits_with_4(slow_fake: FakeBackdrop, product: Path) -> None:
    result = generate(slow_fake, product, "--steps", "50", "--timeout", "0.3")
    assert result.exit_code == 4
    assert "Raise --timeout." in said(result)


def test_a_defect_of_our_own_is_a_sentence_too(
    fake: FakeBackdrop, product: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backdrop._cli.generate.write_result", lambda *_: 1 / 0)
    result = generate(fake, product)
    assert result.exit_code == 1
    assert "please report it: ZeroDivisionError" in said(result)


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
    assert 0.4 < time.monotonic() - begin < 3.0
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


def test_a_task_without_what_it_needs_names_the_flag(fake: FakeBackdrop, tmp_path: Path) -> None:
    result = run("text-to-image", "--out", tmp_path / "out", "--endpoint", fake.endpoint)
    assert result.exit_code == 2
    assert "Change --prompt." in said(result)


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


@pytest.mark.parametrize("command", [[], ["up"], ["generate"], ["text-to-image"], ["info"]])
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


def test_as_a_real_process(fake: FakeBackdrop, product: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "backdrop", "generate", "--product", str(product), "--out", str(tmp_path / "out")]
    command += ["--endpoint", fake.endpoint, "--variants", "2", "--steps", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "contact_sheet.png").exists()


def test_ctrl_c_cancels_cleanly(slow_fake: FakeBackdrop, product: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "backdrop", "generate", "--product", str(product), "--out", str(tmp_path / "out")]
    command += ["--endpoint", slow_fake.endpoint, "--steps", "100"]
    # A suite that runs in the background of a shell inherits an ignored SIGINT; a person's shell does not.
    interruptible = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=interruptible
    ) as process:
        deadline = time.monotonic() + 30
        while slow_fake.steps_run < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=10)
    assert process.returncode == 130
    assert "Cancelled" in stderr
    assert "Traceback" not in stderr
    assert not stdout
    time.sleep(0.1)
    steps = slow_fake.steps_run
    time.sleep(0.1)
    assert slow_fake.steps_run == steps < 100

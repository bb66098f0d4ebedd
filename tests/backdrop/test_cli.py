"""`backdrop background`: what it sends, what it writes and what it says."""

from __future__ import annotations

import functools
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backdrop._text import parse_style
from backdrop.testing import FakeBackdrop
from backdrop.v1 import generation_service_pb2 as pb
from tests.backdrop.command_line import MASK, PHOTO, generate, run


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
    assert "warning --mask is nearly binary" in result.stderr
    assert "warning --image-scale has no effect without style pictures; set --style" in result.stderr
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
    assert run("background", "--product", product, "--out", tmp_path / "out", env=env).exit_code == 0
    request = fake.requests[-1]
    expected = pb.GenerateRequest(background=pb.BackgroundTask(product=product.read_bytes()))
    expected.idempotency_key = request.idempotency_key
    assert request == expected


def test_progress_goes_to_stderr_in_plain_lines(fake: FakeBackdrop, product: Path) -> None:
    result = generate(fake, product, "--variants", "2")
    for line in ("making the scenes", "variant 2: step 3 of 3", "variant 1: score"):
        assert line in result.stderr
        assert line not in result.stdout


def test_as_a_real_process(fake: FakeBackdrop, product: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "backdrop",
        "background",
        "--product",
        str(product),
        "--out",
        str(tmp_path / "out"),
    ]
    command += ["--endpoint", fake.endpoint, "--variants", "2", "--steps", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "contact_sheet.png").exists()


def test_ctrl_c_cancels_cleanly(slow_fake: FakeBackdrop, product: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "backdrop",
        "background",
        "--product",
        str(product),
        "--out",
        str(tmp_path / "out"),
    ]
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


def test_layouts_palette_and_further_products_reach_the_server(
    fake: FakeBackdrop, product: Path, tmp_path: Path
) -> None:
    flags = ("--palette", "0b3954,#ff6663", "--variants", "2")
    result = generate(
        fake, product, "--layout", "64x128", "--layout", "16:9", "--more", f"{product}@0,0,9,9", *flags,
        "--scene", product, "--scene-strength", "0.5", "--out", tmp_path,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    request = fake.requests[-1]
    assert [layout.WhichOneof("shape") for layout in request.background.layouts] == ["size", "aspect_ratio"]
    assert request.background.more_products[0].placement.box.width == 9
    assert request.background.scene == product.read_bytes()
    assert list(request.conditioning.palette) == ["0b3954", "#ff6663"]
    assert "2 of layout 2" in result.stdout
    pictures = json.loads((tmp_path / "result.json").read_text())["pictures"]
    assert [(picture["layout"], picture["rank"]) for picture in pictures] == [(0, 1), (0, 2), (1, 1), (1, 2)]

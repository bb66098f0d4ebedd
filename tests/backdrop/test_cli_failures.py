"""What the command line says about bad input and failures, and how it exits."""

from __future__ import annotations

from pathlib import Path

import pytest

from backdrop import Reason
from backdrop.testing import FakeBackdrop
from tests.backdrop.command_line import generate, run, said

BAD = [
    (["--steps", "0"], "Error: --steps "),
    (["--steps", "-1"], "Error: --steps "),
    (["--size", "10x10"], "Error: --size "),
    (["--size", "big"], "write WIDTHxHEIGHT"),
    (["--padding", "0.9"], "Error: --padding "),
    (["--box", "0,0,9"], "write X,Y,WIDTH,HEIGHT"),
    (["--box", "0,0,999,999"], "Error: --box "),
    (["--box", "0,0,9,9", "--align", "left"], "--padding, --align and the other flags cannot"),
    (["--scheduler", "karras"], "ddim, euler, dpmpp_2m, ddpm"),
    (["--format", "bmp"], "Error: --format "),
    (["--mask", "/no/such/mask.png"], "Error: --mask: cannot read"),
    (["--pipeline", "other"], "Error: --pipeline "),
    (["--variants", "2", "--top-k", "3"], "Error: --top-k "),
    (["--guidance-scale", "nan"], "Error: --guidance-scale "),
    (["--prompt", "word " * 100], "Error: --prompt "),
    (["--style", "/no/such/style.png"], "Error: --style "),
    (["--style", f"{__file__}:1"], "Error: --style "),
    (["--style", f"{__file__}:0"], "Error: --style "),
    (
        ["--style", __file__, "--pipeline", "backdrop-dit"],
        "on this server these do: backdrop, backdrop-fast.",
    ),
    (["--image-scale", "3"], "Error: --image-scale "),
    (["--adapter", "sepia"], "it has aurelia, neon, pencil, winter."),
    (["--adapter", "aurelia", "--adapter", "aurelia:0.5"], "Error: --adapter "),
    (["--adapter", "aurelia:strong"], "write NAME or NAME:WEIGHT"),
    (["--adapter", "aurelia:6"], "Error: --adapter "),
    (["--adapter", "aurelia", "--pipeline", "backdrop-dit"], "these have it: backdrop, backdrop-fast."),
    (["--steps", "51", "--pipeline", "backdrop-fast"], "Error: --steps "),
    (["--variants", "4", "--keep", "5"], "Error: --keep "),
    (["--variants", "4", "--keep", "half"], "as 3@draft6 or 5@0.4,3@0.6. Change --keep."),
    (["--variants", "4", "--keep", "2@1.5"], "Error: --keep "),
    (["--guidance-window", "0.7-0.2"], "Error: --guidance-window "),
    (["--priority", "urgent"], "Error: --priority "),
    (["--idempotency-key", "ü"], "Error: --idempotency-key "),
    (["--timeout", "0"], "Error: --timeout "),
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
    for arguments in (["background", "--product", product, "--out", tmp_path / "out"], ["info"]):
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

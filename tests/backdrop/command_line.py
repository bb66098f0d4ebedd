"""Runs the command line in this process, against a fake."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner, Result

import backdrop
from backdrop.cli import app
from backdrop.testing import FakeBackdrop
from tests.pictures import ellipse_mask, noisy_photo

ROOT = Path(backdrop.__file__).resolve().parents[1]
PHOTO = noisy_photo(96, 64)
MASK = ellipse_mask(96, 64)


def run(*arguments: str | Path, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env=env)


def generate(fake: FakeBackdrop, product: Path, *more: str | Path) -> Result:
    out = product.parent / "out"
    return run("background", "--product", product, "--out", out, "--endpoint", fake.endpoint, "--steps", "3", *more)


def said(result: Result) -> str:
    assert "Traceback" not in result.output
    return " ".join(result.stderr.split())

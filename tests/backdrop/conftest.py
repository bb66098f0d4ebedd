"""The fake that the SDK's tests talk to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backdrop.testing import FakeBackdrop
from tests.backdrop.command_line import MASK, PHOTO


@pytest.fixture
def fake() -> Iterator[FakeBackdrop]:
    """A fresh fake in a thread of its own."""
    with FakeBackdrop() as fake:
        yield fake


@pytest.fixture
def slow_fake() -> Iterator[FakeBackdrop]:
    """One that takes 50 ms for a step."""
    with FakeBackdrop(step_delay_s=0.05) as fake:
        yield fake


@pytest.fixture
def product(tmp_path: Path) -> Path:
    """A photo with a cut-out product, as a file."""
    path = tmp_path / "mug.png"
    Image.fromarray(np.dstack([PHOTO, MASK])).save(path)
    return path

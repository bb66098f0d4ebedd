"""The fake that the SDK's tests talk to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from backdrop.testing import FakeBackdrop


@pytest.fixture
def fake() -> Iterator[FakeBackdrop]:
    """A fresh fake in a thread of its own."""
    with FakeBackdrop() as fake:
        yield fake


@pytest.fixture
def slow_fake() -> Iterator[FakeBackdrop]:
    """One that takes 20 ms for a step."""
    with FakeBackdrop(step_delay_s=0.02) as fake:
        yield fake

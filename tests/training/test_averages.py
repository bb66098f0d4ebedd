"""Averages of weights whose length is chosen afterwards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from training.core import averages
from training.core.averages import PowerAverages, Snapshots, coefficients, exponent


def trained(steps: int, folder: Path, walk: np.ndarray[tuple[int], np.dtype[np.float64]]) -> PowerAverages:
    """The averages of a network of one weight that takes the values of `walk`."""
    network = nn.Linear(1, 1, bias=False)
    tracked = PowerAverages(network, folder)
    for step in range(steps):
        network.weight.data.fill_(float(walk[step]))
        tracked.update(network)
    return tracked


def by_hand(walk: np.ndarray[tuple[int], np.dtype[np.float64]], width: float) -> float:
    """The power average of `width`, step by step."""
    value, gamma = 0.0, exponent(width)
    for step, sample in enumerate(walk, 1):
        keep = (1 - 1 / step) ** (gamma + 1)
        value = keep * value + (1 - keep) * float(sample)
    return value


def test_exponents_are_those_of_the_paper() -> None:
    assert exponent(0.05) == pytest.approx(16.97, abs=0.01)
    assert exponent(0.10) == pytest.approx(6.94, abs=0.01)


def test_a_length_that_was_not_tracked_is_put_together_from_snapshots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(averages, "EVERY", 50)
    walk = 3 + np.cumsum(np.random.default_rng(0).normal(0, 0.1, 1000))
    trained(1000, tmp_path, walk)
    snapshots = Snapshots.of(tmp_path)
    assert len(snapshots.paths) == 40
    for width in (0.05, 0.07, 0.15):
        assert float(snapshots.average(width)["weight"]) == pytest.approx(by_hand(walk, width), abs=0.02)
    assert abs(by_hand(walk, 0.05) - by_hand(walk, 0.15)) > 0.1


def test_a_tracked_length_is_its_own_snapshot() -> None:
    shares = coefficients([500, 500, 1000, 1000], [0.05, 0.1, 0.05, 0.1], 1000, 0.05)
    assert shares == pytest.approx([0, 0, 1, 0], abs=1e-6)


def test_tracking_goes_on_after_a_stop(tmp_path: Path) -> None:
    walk = np.linspace(0, 1, 80)
    whole = trained(80, tmp_path, walk)
    first, network = trained(40, tmp_path, walk), nn.Linear(1, 1, bias=False)
    second = PowerAverages(network, tmp_path)
    second.load_state_dict(first.state_dict())
    for value in walk[40:]:
        network.weight.data.fill_(float(value))
        second.update(network)
    for one, other in zip(whole.state_dict()["averages"], second.state_dict()["averages"], strict=True):
        assert torch.allclose(one["weight"], other["weight"])


def test_no_snapshots_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="train 500 steps first"):
        Snapshots.of(tmp_path)

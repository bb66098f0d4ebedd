"""The seam of a wide picture: about 1 where nothing shows, more where two pictures meet."""

from __future__ import annotations

import numpy as np
import pytest

from bench.tiles import seam


def test_a_seam_shows_only_where_pictures_meet() -> None:
    noise = np.random.default_rng(2).normal(size=(192, 768)).cumsum(axis=1)
    picture = np.clip(128 + noise - noise.mean(axis=1, keepdims=True), 0, 255).astype(np.uint8)[..., None].repeat(3, 2)
    assert seam(picture, [128, 256, 384]) == pytest.approx(1.0, abs=0.1)
    stepped = picture.copy()
    stepped[:, 256:] = np.clip(stepped[:, 256:].astype(int) + 20, 0, 255)
    assert seam(stepped, [256]) > 2
    assert seam(stepped, [128, 384]) == pytest.approx(1.0, abs=0.1)

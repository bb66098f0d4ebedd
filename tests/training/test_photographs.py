"""What pictures are made of: each measure by a picture whose value is known."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from training.evaluation import photographs


def noise(seed: int = 0) -> torch.Tensor:
    return torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(seed)) - 0.5


def test_noise_is_fine_and_its_average_is_not() -> None:
    fine = photographs.fine_share(noise())
    coarse = photographs.fine_share(torch.nn.functional.interpolate(noise()[..., :32, :32], scale_factor=8.0))
    assert fine[0] > 0.9
    assert coarse[0] < 0.01


def test_few_hard_edges_have_a_high_kurtosis() -> None:
    edge = torch.zeros(1, 3, 64, 64)
    edge[..., 32:] = 1
    # One difference of 63 in a row is 1: variance p and fourth moment about p, so about 1 / p.
    assert photographs.gradient_kurtosis(edge)[0] == pytest.approx(63, rel=0.05)
    assert photographs.gradient_kurtosis(noise())[0] < 4


def test_blocks_without_texture_are_counted() -> None:
    half = torch.zeros(1, 3, 64, 64)
    half[..., :32] = noise()[..., :64, :32]
    assert photographs.flat_share(half)[0] == pytest.approx(0.5)


def test_grey_pictures_have_no_colours() -> None:
    grey = noise()[:, :1].expand(-1, 3, -1, -1)
    assert photographs.colour_spread(grey)[0] == pytest.approx(0, abs=1e-6)
    assert photographs.colour_spread(noise())[0] > 0.2


def test_photographs_are_middle_squares(tmp_path: Path) -> None:
    wide = Image.new("RGB", (600, 300), "red")
    wide.paste("blue", (150, 0, 450, 300))
    wide.save(tmp_path / "wide.png")
    (tmp_path / "notes.txt").write_text("not a picture")
    pictures = photographs.photographs(tmp_path)
    assert pictures.shape == (1, 3, 256, 256)
    assert torch.equal(pictures[0, :, 128, 128], torch.tensor([-1.0, -1.0, 1.0]))
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(FileNotFoundError, match="no PNG or JPEG"):
        photographs.photographs(empty)

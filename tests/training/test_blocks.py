"""The linear code of blocks."""

from __future__ import annotations

import torch

from training.evaluation.blocks import linear_code


def test_more_channels_keep_more_and_flat_blocks_need_three() -> None:
    torch.manual_seed(0)
    noise = torch.rand(4, 3, 32, 32) * 2 - 1
    few, many, all_of_it = (float(linear_code(noise, noise, channels).mean()) for channels in (4, 32, 192))
    assert few < many < all_of_it
    assert all_of_it > 45
    flat = torch.nn.functional.interpolate(noise[..., ::8, ::8], scale_factor=8)
    assert linear_code(flat, flat, 3).min() > 45

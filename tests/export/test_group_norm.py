"""The VAE's GroupNorm: torch's numbers, in torch and in a graph, also where a picture is large and flat."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from export.networks.group_norm import WideGroupNorm, widen_norms
from export.running import relative, session

SIDE = 384


@pytest.mark.parametrize("shape", [(2, 8, 5, 7), (1, 8, 33)])
def test_it_is_torchs_group_norm(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    plain, x = nn.GroupNorm(4, 8), torch.randn(shape) * 3 + 1
    nn.init.normal_(plain.weight)
    nn.init.normal_(plain.bias)
    expected = plain(x)
    outputs = widen_norms(nn.Sequential(plain))(x)
    assert isinstance(plain, WideGroupNorm)
    assert torch.allclose(outputs, expected, atol=1e-5)


def flat_picture() -> torch.Tensor:
    """Mid grey but for a corner, as a masked picture is for a VAE: [1, 8, SIDE, SIDE]."""
    x = torch.full((1, 8, SIDE, SIDE), 0.37)
    x[..., : SIDE // 4, : SIDE // 4] = torch.rand(
        1, 8, SIDE // 4, SIDE // 4, generator=torch.Generator().manual_seed(0)
    )
    return x


def from_graph(module: nn.Module, path: Path) -> float:
    """How far onnxruntime is from torch in double precision on a flat picture."""
    x = flat_picture()
    torch.onnx.export(module, (x,), str(path), dynamo=True, input_names=["x"], verbose=False, external_data=False)
    (outputs,) = session(path).run(None, {"x": x.numpy()})
    return relative(module.double()(x.double()).detach().numpy(), outputs)


def test_a_graph_of_it_is_exact_on_flat_pictures(tmp_path: Path) -> None:
    plain = from_graph(nn.GroupNorm(1, 8).eval(), tmp_path / "plain.onnx")
    wide = from_graph(widen_norms(nn.Sequential(nn.GroupNorm(1, 8))).eval(), tmp_path / "wide.onnx")
    assert wide < 3e-5
    assert plain > 5 * wide, "onnxruntime's own kernel is exact by now: WideGroupNorm can go"

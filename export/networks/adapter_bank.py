"""A bank of low-rank adapters (Hu et al. 2021) on a network's layers, from which every row of a batch takes its own.

y_b = W x_b + Σ_k scale_bk · up[adapter_bk] (down[adapter_bk] x_b), for all rows at once. The K adapters of a row are
joined along their ranks: they are one adapter of rank K·R, so a layer has two batched products, whatever K is.
Row 0 of the bank is all zeros, so a row whose slots are free gets the plain layer's answer.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

from export.errors import ExportError

DOWN, UP = "adapters_down", "adapters_up"
"""Buffers on a layer: down [1 + N, kw·kh·R, in] (1 · 1 · R for a linear layer), up [1 + N, R, out].

The rank comes before the width: what is gathered for the slots of a row is then joined without being copied.
"""


class Rows:
    """Which adapters each row of the running batch names; every layer of a network looks here."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        """Adapters of a row, K."""
        self.adapter: Tensor | None = None
        """INT64 [B·K]; None where no forward pass is running."""
        self.scale: Tensor | None = None
        """FP32 [B·K, 1, 1]."""

    def assign(self, adapter: Tensor, scale: Tensor) -> None:
        """Sets the adapters INT64 [B, K] and scales FP32 [B, K] of the batch that runs next."""
        self.adapter, self.scale = adapter.flatten(), scale.flatten()[:, None, None]

    def pick(self, layer: nn.Module) -> tuple[Tensor, Tensor] | None:
        """The rows' down [B, K·kw·kh·R, in] and scaled up [B, K·R, out]; None where the call names no adapters."""
        if self.adapter is None or self.scale is None:
            return None
        down = layer.get_buffer(DOWN).index_select(0, self.adapter)
        up = layer.get_buffer(UP).index_select(0, self.adapter) * self.scale
        return self.join(down), self.join(up)

    def join(self, half: Tensor) -> Tensor:
        """[B·K, R, width] → [B, K·R, width]."""
        return half.view(half.shape[0] // self.slots, self.slots * half.shape[1], half.shape[2])


class AdaptedDenoiser(nn.Module):
    """A network whose last two inputs are `adapter` INT64 [B, K] and `adapter_scale` FP32 [B, K].

    A number without a row in the bank counts as 0, no adapter: a bad request must not fail the others of its batch.
    """

    def __init__(self, network: nn.Module, rows: Rows, capacity: int) -> None:
        super().__init__()
        self.network = network
        self.rows = rows
        self.capacity = capacity

    def forward(self, *inputs: Tensor) -> Tensor:
        """Returns what the network returns for the inputs before the last two."""
        *others, adapter, scale = inputs
        in_bank = (adapter >= 0) & (adapter <= self.capacity)
        self.rows.assign(torch.where(in_bank, adapter, torch.zeros_like(adapter)), scale)
        try:
            outputs: Tensor = self.network(*others)
        finally:
            self.rows.adapter = self.rows.scale = None
        return outputs


def adaptable(network: nn.Module) -> dict[str, nn.Linear | nn.Conv2d]:
    """The layers that an adapter may change, by name."""
    return {name: layer for name, layer in network.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)}


def install(network: nn.Module, names: Iterable[str], capacity: int, rank: int, slots: int) -> Rows:
    """Puts an empty bank of `capacity` adapters of at most `rank` on layers of `network`; a row has `slots` of them.

    The layers stay what they are, with two buffers and a forward hook more, so that their weights keep their names.

    Raises:
        ExportError: if a layer is a convolution of a kind that the UNets and transformers of diffusion do not have.
    """
    rows, layers = Rows(slots), adaptable(network)

    def convolved(layer: nn.Conv2d, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        picked = rows.pick(layer)
        return output if picked is None else output + convolve(layer, inputs[0], *picked, slots)

    def projected(layer: nn.Linear, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        picked = rows.pick(layer)
        return output if picked is None else output + project(inputs[0], *picked, slots).view_as(output)

    for name in names:
        layer = layers[name]
        out, width, taps = *layer.weight.shape[:2], layer.weight[0, 0].numel()
        layer.register_buffer(DOWN, torch.zeros(1 + capacity, taps * rank, width))
        layer.register_buffer(UP, torch.zeros(1 + capacity, rank, out))
        if isinstance(layer, nn.Linear):
            layer.register_forward_hook(projected)
            continue
        if layer.groups != 1 or layer.dilation != (1, 1) or isinstance(layer.padding, str):
            raise ExportError(f"{name} is a convolution of a kind that cannot be adapted.")
        layer.register_forward_hook(convolved)
    return rows


def project(x: Tensor, down: Tensor, up: Tensor, slots: int) -> Tensor:
    """up (down x) of every row: [B, S, in] or [B, in] → [B, S, out], S = 1 for the latter.

    Each slot has a `down` product of its own. A product of few tokens by more than 16 columns, such as the joined rank,
    is divided among threads by onnxruntime, and the last bits of a row then depend on how many threads there are.
    """
    flat = x[:, None] if x.ndim == 2 else x
    if slots == 1:
        return flat @ down.mT @ up
    parts = down.view(x.shape[0], slots, down.shape[1] // slots, down.shape[2])
    reduced = (flat[:, None] @ parts.mT).transpose(1, 2).flatten(2)
    return reduced @ up


def convolve(layer: nn.Conv2d, x: Tensor, down: Tensor, up: Tensor, slots: int) -> Tensor:
    """up (down * x) of every row: [B, in, H, W] → [B, out, H', W'].

    A convolution with each row's own weights would need as many groups as there are rows, which no graph can leave
    open. So every tap of `down` is a product of its own, all in one matrix product, and what the taps made is shifted
    to where it belongs and summed: K·R·k² planes to move, not the in·k² of an unfolded picture.
    """
    (kh, kw), (sh, sw) = layer.kernel_size, layer.stride
    ph, pw = (int(side) for side in layer.padding)
    # The taps come first within each adapter, so the adapters of a row are shifted as rows of their own.
    taps = (down @ x.flatten(2)).view(x.shape[0] * slots, down.shape[1] // slots, *x.shape[2:])
    taps = sum_shifted(taps, kw, pw, columns=True)
    taps = taps[..., ::sw] if sw > 1 else taps
    reduced = sum_shifted(taps, kh, ph, columns=False)
    reduced = reduced[:, :, ::sh] if sh > 1 else reduced
    planes = reduced.flatten(2)
    planes = planes.view(x.shape[0], up.shape[1], planes.shape[2])
    return (up.mT @ planes).view(x.shape[0], up.shape[2], *reduced.shape[2:])


def sum_shifted(x: Tensor, taps: int, padding: int, *, columns: bool) -> Tensor:
    """Adds the `taps` parts of x's channels, each shifted along one axis by its place in the kernel.

    A shift is a padding that is negative on the other side: what leaves the picture is cut off.
    """
    total: Tensor | None = None
    for tap, part in enumerate(x.chunk(taps, dim=1)):
        pads = (padding - tap, padding + tap - taps + 1)
        shifted = functional.pad(part, pads if columns else (0, 0, *pads)) if any(pads) else part
        total = shifted if total is None else total + shifted
    assert total is not None
    return total

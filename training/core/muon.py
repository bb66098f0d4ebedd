"""Muon for the hidden matrices of a network, AdamW for everything else, as one optimiser.

Muon (Jordan et al. 2024) steps along the momentum of a matrix with its singular values made equal, by Newton-Schulz
iterations; scaled as by Liu et al. 2025 ("Muon is scalable"), its steps are as long as AdamW's, so both share one rate.
torch.optim.Muon takes matrices alone; here a convolution is the matrix of its output channels by everything else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

MOMENTUM, DECAY = 0.95, 0.01
LENGTH = 0.2
"""Root mean square of a step, of the rate: about that of AdamW."""
ITERATIONS, COEFFICIENTS = 5, (3.4445, -4.7750, 2.0315)
ENDS = ("conv_in", "conv_out", "pos_embed.proj", "proj_out", "quant_conv", "post_quant_conv")
"""Layers between pictures or latents and features; AdamW is better there (Jordan et al. 2024)."""


def orthogonal(matrix: Tensor) -> Tensor:
    """A matrix [M, N] with its singular values brought to about 1, in bfloat16."""
    a, b, c = COEFFICIENTS
    wide = matrix.bfloat16() if matrix.shape[0] <= matrix.shape[1] else matrix.bfloat16().T
    wide = wide / (wide.norm() + 1e-7)
    for _ in range(ITERATIONS):
        square = wide @ wide.T
        wide = a * wide + (b * square + c * (square @ square)) @ wide
    return torch.as_tensor(wide if matrix.shape[0] <= matrix.shape[1] else wide.T)


def hidden(network: nn.Module) -> list[nn.Parameter]:
    """The trainable matrices and convolutions of a network, without those at its ends."""
    return [
        parameter
        for name, parameter in network.named_parameters()
        if parameter.requires_grad
        and parameter.ndim >= 2
        and not name.removeprefix("encoder.").removeprefix("decoder.").startswith(ENDS)
    ]


class Muon:
    """Muon for `matrices` [M, ...], AdamW for `others`; `param_groups[0]["lr"]` is the rate of both."""

    def __init__(self, matrices: Sequence[nn.Parameter], others: Sequence[nn.Parameter], lr: float) -> None:
        self._matrices = list(matrices)
        self._momentum = [torch.zeros_like(matrix) for matrix in self._matrices]
        self._adam = torch.optim.AdamW(others, lr=lr, weight_decay=DECAY, betas=(0.9, 0.99), fused=True)
        self.param_groups = self._adam.param_groups

    @torch.no_grad()
    def step(self) -> None:
        """One step from the gradients."""
        rate = self.param_groups[0]["lr"]
        for parameter, momentum in zip(self._matrices, self._momentum, strict=True):
            if parameter.grad is None:
                continue
            momentum.lerp_(parameter.grad, 1 - MOMENTUM)
            towards = parameter.grad.lerp(momentum, MOMENTUM).flatten(1)
            length = LENGTH * max(towards.shape) ** 0.5
            step = orthogonal(towards).reshape(parameter.shape).to(parameter.dtype)
            parameter.mul_(1 - rate * DECAY).add_(step, alpha=-rate * length)
        self._adam.step()

    def zero_grad(self) -> None:
        """Clears all gradients."""
        for parameter in self._matrices:
            parameter.grad = None
        self._adam.zero_grad()

    def state_dict(self) -> dict[str, Any]:
        """The state of both."""
        return {"momentum": self._momentum, "adamw": self._adam.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores a saved state of both."""
        for own, saved in zip(self._momentum, state["momentum"], strict=True):
            own.copy_(saved)
        self._adam.load_state_dict(state["adamw"])
        self.param_groups = self._adam.param_groups


def optimiser(network: nn.Module, lr: float) -> Muon:
    """Muon for the trainable hidden matrices of a network, AdamW for its other trainable parameters."""
    matrices = hidden(network)
    taken = {id(matrix) for matrix in matrices}
    return Muon(matrices, [p for p in network.parameters() if p.requires_grad and id(p) not in taken], lr)

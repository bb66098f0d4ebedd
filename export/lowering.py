"""A component in half precision: its module computes in fp16 or bf16; its inputs and outputs stay FP32."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from export.contract import TensorSpec
from export.models.component import ComponentModule
from export.precision import Precision

DTYPES: dict[Precision, torch.dtype] = {
    "fp32": torch.float32,
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
    # Its matrix products are quantised in the graph, once that is traced.
    "fp8": torch.float16,
}
UNRUNNABLE: frozenset[Precision] = frozenset({"bf16"})
"""What onnxruntime has no arithmetic for on a CPU."""
WIDE = frozenset({"timestep", "time_ids"})
"""Inputs whose values half precision cannot tell apart: 999 and 1000 are the same number in bf16. The networks turn
them into sines in FP32 and round the sines."""


class LowPrecisionModule(nn.Module):
    """A wrapper module in lower precision, with a cast at every FP32 input and output."""

    def __init__(self, module: nn.Module, specs: tuple[TensorSpec, ...], dtype: torch.dtype) -> None:
        """Converts `module`, in place."""
        super().__init__()
        self.module = module.to(dtype)
        self.casts = tuple(spec.dtype == "FP32" and spec.name not in WIDE for spec in specs)
        self.dtype = dtype

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...] | torch.Tensor:
        cast = [value.to(self.dtype) if c else value for c, value in zip(self.casts, inputs, strict=True)]
        outputs = self.module(*cast)
        return outputs.float() if isinstance(outputs, torch.Tensor) else tuple(value.float() for value in outputs)


def lower(prepared: ComponentModule, precision: Precision) -> ComponentModule:
    """The component in another precision; its module is converted in place."""
    if precision == "fp32":
        return prepared
    return replace(prepared, module=LowPrecisionModule(prepared.module, prepared.inputs, DTYPES[precision]).eval())

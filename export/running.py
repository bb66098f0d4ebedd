"""Running one component on a batch, as a torch module or as an exported graph, and the distance of two outputs."""

from __future__ import annotations

from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch
from torch import nn

from export.models.component import ComponentModule, Inputs
from export.widening import widen

Array = npt.NDArray[Any]
LARGE = 3 * 2**30
"""Bytes of a graph and its weights files from which on its session saves memory."""


def torch_outputs(module: nn.Module, inputs: Inputs) -> list[Array]:
    """Runs a wrapper module and returns its outputs as arrays."""
    with torch.inference_mode():
        outputs = module(*inputs)
    return [tensor.numpy() for tensor in ((outputs,) if isinstance(outputs, torch.Tensor) else outputs)]


def session(path: Path, threads: int = 1) -> onnxruntime.InferenceSession:
    """Opens a graph with the settings of the serving backend, so that what is measured is what is served.

    Constants of a large graph are not folded: its weights are cast and transposed when they are used. Folded, packed
    and copied, SDXL's UNet would take more than 24 GiB. The arithmetic is the same.
    """
    large = sum(file.stat().st_size for file in path.parent.iterdir()) > LARGE
    return onnxruntime.InferenceSession(
        str(path),
        session_options(threads),
        providers=["CPUExecutionProvider"],
        disabled_optimizers=["ConstantFolding"] if large else None,
    )


def widened_session(path: Path) -> onnxruntime.InferenceSession:
    """Opens a bfloat16 graph with FP32 in place of bfloat16."""
    model = onnx.load(path, load_external_data=False)
    widen(model)
    # In the graph's own folder: external data is found relative to the file.
    with NamedTemporaryFile(dir=path.parent, suffix=".onnx") as file:
        file.write(model.SerializeToString())
        file.flush()
        return session(Path(file.name))


def session_options(threads: int) -> onnxruntime.SessionOptions:
    """The session options of the serving backend."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # It would make integer products of quantised pairs, and there are none for FP8.
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    return options


def onnx_outputs(run: onnxruntime.InferenceSession, prepared: ComponentModule, inputs: Inputs) -> list[Array]:
    """Runs a graph on torch inputs and returns its outputs in the contract's order."""
    feed = {spec.name: tensor.numpy() for spec, tensor in zip(prepared.inputs, inputs, strict=True)}
    outputs: list[Array] = run.run([spec.name for spec in prepared.outputs], feed)
    return outputs


def relative(reference: Array, other: Array) -> float:
    """Largest difference over largest magnitude; infinite for NaN, or for shapes that differ."""
    if reference.shape != other.shape or not np.isfinite(other).all():
        return float("inf")
    scale = float(np.abs(reference).max()) or 1.0
    return float(np.abs(reference - other).max()) / scale


def bits_differing(reference: Array, other: Array) -> float:
    """The share of zeros and ones that differ; infinite for NaN, or for shapes that differ."""
    if reference.shape != other.shape or not np.isfinite(other).all():
        return float("inf")
    return float((reference != other).mean())

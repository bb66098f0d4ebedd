"""A small repository with three adapters, for a cluster of its own: the shipped repository has none."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.export import tiny

NAMES = ("aurelia", "neon", "pencil")
_LAYERS = (
    "down_blocks.0.resnets.0.conv1",
    "mid_block.attentions.0.transformer_blocks.0.attn1.to_out.0",
    "mid_block.attentions.0.transformer_blocks.0.attn2.to_k",
)
"""A convolution and two products: each layer with a bank costs seconds of tracing."""
_SLOTS = 2


def repository(factory: pytest.TempPathFactory) -> Path:
    """The tiny pipelines with a bank of adapters of different ranks on the first denoiser; written once a run."""
    return tiny.required(tiny.once(factory, "tiny-adapted", lambda folder: _write(folder, factory)))


def _write(folder: Path, factory: pytest.TempPathFactory) -> None:
    from export import adapters
    from export.adapters import AdapterSelection, LoraRef
    from export.run import export_pipelines
    from tests.export import loras

    pipelines = tiny.pipelines(factory)
    every = adapters.layer_shapes(tiny.source(pipelines, "denoiser"))
    shapes = {layer: every[layer] for layer in _LAYERS}
    files = factory.mktemp("loras")
    refs = [
        LoraRef(name, loras.write_peft(files / f"{name}.safetensors", loras.random_lora(shapes, rank, rank), shapes))
        for rank, name in enumerate(NAMES, start=2)
    ]
    shutil.copytree(tiny.repository(factory), folder)
    selection = AdapterSelection(tuple(refs), slots=_SLOTS)
    sources = [pipelines / name for name in tiny.NAMES]
    export_pipelines(sources, folder, tiny.silent, names=["denoiser"], selection=selection)

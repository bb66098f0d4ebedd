"""How long `export all` takes for a reduced SDXL-inpainting folder, and how far FP32 graphs are from FP32 weights."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.figures import ROOT, Figure, at_most
from export.adapters import layer_shapes
from export.options import ExportOptions
from export.rehearsal.recording import RehearsalConfig
from export.report import TOLERANCE
from export.run import export_pipelines
from export.source import open_folder
from tests.export import loras
from tests.export.oracle import extras, folders

MOST_S, MOST_ADAPTED_S = 90, 200
RANK, STRENGTH = 4, 1 / 16
"""Of LoRAs. Strong ones on random weights make a network that differs from itself in double precision by half."""


def write_folder(folder: Path) -> None:
    """An SDXL-inpainting folder of 2.4 M FP32 weights: two resolutions, two layers each, attention at the lower one."""
    from diffusers import AutoencoderKL, StableDiffusionXLInpaintPipeline, UNet2DConditionModel

    parts = folders.xl_parts(9, {})
    settings = dict(parts["unet"].config) | {
        "block_out_channels": (32, 64),
        "layers_per_block": 2,
        "transformer_layers_per_block": [1, 2],
        "attention_head_dim": (2, 4),
        "norm_num_groups": 8,
    }
    parts["unet"] = folders.varied(UNet2DConditionModel.from_config(settings))
    settings = dict(parts["vae"].config) | {
        "block_out_channels": (16, 32, 32, 32),
        "layers_per_block": 2,
        "norm_num_groups": 8,
    }
    parts["vae"] = folders.varied(AutoencoderKL.from_config(settings))
    StableDiffusionXLInpaintPipeline(**parts).save_pretrained(folder)


def seconds() -> list[Figure]:
    """The documented command on that folder, then with an IP-Adapter and four LoRAs; each with an empty work folder."""
    name, command = "seconds for `export all` of the reduced SDXL-inpainting folder", "python -m bench.checkpoint time"
    with tempfile.TemporaryDirectory() as base:
        folder = Path(base) / "sdxl-inpaint"
        write_folder(folder)
        plain = seconds_of(folder)
        extras.add_style(folder)
        adapted = seconds_of(folder, *(f"--adapter={name}={path}" for name, path in write_loras(folder).items()))
    return [
        Figure(f"{name} (2.4 M weights)", plain, at_most(MOST_S), command),
        Figure(f"{name}, with IP-Adapter and four LoRAs", adapted, at_most(MOST_ADAPTED_S), command),
    ]


def write_loras(folder: Path) -> dict[str, Path]:
    """Four LoRAs of the attention layers, in three layouts, beside the folder; by name."""
    layers = layer_shapes(open_folder(folder).sources["denoiser"])
    shapes = {name: shape for name, shape in layers.items() if ".to_" in name and "processor" not in name}
    writers = {
        "ink": loras.write_peft,
        "oil": loras.write_diffusers,
        "dawn": loras.write_kohya,
        "dusk": loras.write_peft,
    }
    return {
        name: write(folder.with_name(f"{name}.safetensors"), loras.random_lora(shapes, RANK, seed, STRENGTH), shapes)
        for seed, (name, write) in enumerate(writers.items())
    }


def seconds_of(folder: Path, *options: str) -> float:
    """How long the command takes for a folder, from its start to its end.

    Raises:
        CalledProcessError: if the export fails.
    """
    with tempfile.TemporaryDirectory() as base:
        places = ("--out", f"{base}/out", "--work", f"{base}/work")
        started = time.monotonic()
        command = [sys.executable, "-m", "export", "all", "--pipeline", str(folder), *options, *places]
        subprocess.run(command, cwd=ROOT, check=True)
        return round(time.monotonic() - started, 1)


def weights() -> list[Figure]:
    """FP32 graphs of the four families against the folders' own FP32 weights, on random and on real inputs."""
    largest, where = 0.0, ""
    with tempfile.TemporaryDirectory() as base:
        for name, write in folders.FAMILIES.items():
            write(Path(base) / name)
            options = ExportOptions(rehearsal=RehearsalConfig(steps=3))
            report = export_pipelines([Path(base) / name], Path(base) / f"{name}-out", print, options=options)
            worst = max(report.models, key=lambda model: model.parity.worst.relative)
            if worst.parity.worst.relative >= largest:
                largest, where = worst.parity.worst.relative, f"{name}, {worst.model}"
    name = "exported graphs against the user's F32 weights, fp32, relative"
    return [Figure(name, largest, at_most(TOLERANCE["fp32"]), "python -m bench.checkpoint weights", where)]

"""How long `export all` takes for a reduced SDXL-inpainting folder, and how far FP32 graphs are from FP32 weights."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from bench.figures import Figure, at_most
from export.__main__ import main as export
from export.options import ExportOptions
from export.rehearsal.recording import RehearsalConfig
from export.report import TOLERANCE
from export.run import export_pipelines
from tests.export.oracle import folders

FASTEST_S = 90


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
    """The documented command on that folder, with an empty work folder."""
    with tempfile.TemporaryDirectory() as base:
        folder = Path(base) / "sdxl-inpaint"
        write_folder(folder)
        started = time.monotonic()
        status = export(["all", "--pipeline", str(folder), "--out", f"{base}/out", "--work", f"{base}/work"])
        took = time.monotonic() - started
    if status:
        raise SystemExit("the export failed")
    name = "seconds for `export all` of the reduced SDXL-inpainting folder (2.4 M weights)"
    return [Figure(name, round(took, 1), at_most(FASTEST_S), "python -m bench.checkpoint time")]


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

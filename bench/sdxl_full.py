"""SDXL for inpainting with an IP-Adapter at full size: random weights, exported and compared on one row.

usage: python -m bench.sdxl_full [--work FOLDER]        (14 GB of disk, up to 24 GiB of memory, most of an hour)

The sizes are those of the published configs: SDXL 1.0 inpainting, and IP-Adapter's ViT-H. Writes
docs/figures/sdxl_full.json, which `python -m bench.export_marks sdxl` turns into marks.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from safetensors.torch import save_file

from bench.figures import FOLDER
from export import ip_adapters, summary
from export.networks import image_attention
from export.networks.image_projector import ImageProjector
from export.networks.uve import UVE
from export.options import ExportOptions
from export.rehearsal.examples import drawn
from export.rehearsal.recording import RehearsalConfig
from export.run import export_graphs
from tests.export.tiny import write_tokenizer

REPORT = FOLDER / "sdxl_full.json"
BUCKET = [512, 512]
"""Not SDXL's 1024: a row's attention there is sixteen times as dear, and the graph the same."""
STEPS = 2
"""Of the rehearsal: enough to feed one step's result to the next."""
UNET: dict[str, Any] = {
    "sample_size": 128,
    "in_channels": 9,
    "out_channels": 4,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "block_out_channels": (320, 640, 1280),
    "layers_per_block": 2,
    "attention_head_dim": (5, 10, 20),
    "transformer_layers_per_block": (1, 2, 10),
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
VAE: dict[str, Any] = {
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "latent_channels": 4,
    "sample_size": 1024,
    "scaling_factor": 0.13025,
}
TEXT: dict[str, Any] = {
    "vocab_size": 49408,
    "max_position_embeddings": 77,
    "bos_token_id": 49406,
    "eos_token_id": 49407,
    "pad_token_id": 49407,
}
TEXT_L = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
TEXT_G = {"hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 20}
VISION = {"hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 16}


def write_folder(folder: Path) -> None:
    """Writes the pipeline with random fp16 weights, one component after the other, so that none waits in memory."""
    from diffusers import AutoencoderKL, EulerDiscreteScheduler, UNet2DConditionModel
    from transformers import (
        CLIPTextConfig,
        CLIPTextModel,
        CLIPTextModelWithProjection,
        CLIPVisionConfig,
        CLIPVisionModelWithProjection,
    )

    torch.manual_seed(0)
    # Made in fp16 to begin with: the UNet is 5 GB so, and would be 10 before it was halved.
    torch.set_default_dtype(torch.float16)
    try:
        small = CLIPTextConfig(**TEXT, **TEXT_L, projection_dim=768, hidden_act="quick_gelu")
        CLIPTextModel(small).save_pretrained(folder / "text_encoder")
        large = CLIPTextConfig(**TEXT, **TEXT_G, projection_dim=1280, hidden_act="gelu")
        CLIPTextModelWithProjection(large).save_pretrained(folder / "text_encoder_2")
        vision = CLIPVisionConfig(**VISION, projection_dim=1024, image_size=224, patch_size=14, hidden_act="gelu")
        CLIPVisionModelWithProjection(vision).save_pretrained(folder / "image_encoder")
        UVE().save_pretrained(folder / "image_encoder_uve")
        ImageProjector(uve_dim=128, clip_dim=1024, tokens=4, cross_attention_dim=2048).save_pretrained(
            folder / "image_projector"
        )
        AutoencoderKL(**VAE).save_pretrained(folder / "vae")
        unet: Any = UNet2DConditionModel(**UNET)
        unet.save_pretrained(folder / "unet", max_shard_size="20GB")
        write_ip_adapter(unet, folder)
    finally:
        torch.set_default_dtype(torch.float32)
    EulerDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear").save_pretrained(
        folder / "scheduler"
    )
    for name in ("tokenizer", "tokenizer_2"):
        # Letters for CLIP's vocabulary: random weights know no words.
        write_tokenizer(folder / name, end=TEXT["eos_token_id"])
    (folder / "backdrop.json").write_text(json.dumps({"buckets": [BUCKET]}))


def write_ip_adapter(unet: Any, folder: Path) -> None:
    """Image attention for every cross-attention of the UNet, with random weights: untrained ones would do nothing."""
    layers = image_attention.install(unet)
    for parameter in layers.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    (folder / "ip_adapter").mkdir(parents=True, exist_ok=True)
    tensors = {f"ip_adapter.{name}": value.half().contiguous() for name, value in layers.state_dict().items()}
    save_file(tensors, folder / ip_adapters.FOLDER / ip_adapters.FILE)


def main() -> int:
    """Makes the folder unless it is there, exports it, writes the report."""
    parser = argparse.ArgumentParser(prog="python -m bench.sdxl_full", description=__doc__)
    parser.add_argument("--work", type=Path, default=Path(".backdrop") / "sdxl-full", metavar="FOLDER")
    work: Path = parser.parse_args().work
    folder, console, started = work / "sdxl-inpaint", Console(stderr=True), time.monotonic()
    if not (folder / "backdrop.json").is_file():
        console.print("making random weights")
        write_folder(folder)

    def progress(name: str, what: str) -> None:
        console.print(f"{name}: {what}", highlight=False)

    options = ExportOptions(work=work / "export", batches=(1,), rehearsal=RehearsalConfig(STEPS, drawn()[:1]))
    # First all graphs, then all comparisons: what took minutes to trace is kept, whatever comes after it.
    export_graphs([folder], progress, options, compare=False)
    result = export_graphs([folder], progress, options)
    summary.write_report(REPORT, result, time.monotonic() - started)
    console.print(summary.table(result.models))
    console.print(summary.pictures_table(result.pictures))
    return 0


if __name__ == "__main__":
    sys.exit(main())

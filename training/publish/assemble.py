"""Writes the weights folders `backdrop`, `backdrop-fast`, `backdrop-dit` and the LoRAs from the stages' checkpoints."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import nn

from backdrop.contract.rules import TASKS
from export.conventions import OURS
from training.config import REWARD_HEADS, Config
from training.core import loop, lora, networks
from training.denoisers import brand, distil, dit, image_adapter, inpaint, product, surroundings, task_adapter
from training.encoded import preview
from training.encoders import image_encoder, t5, text_encoders, tokenizer, upscaler, uve, vae
from training.judges import reward, segmenter
from training.publish import folders
from training.publish.folders import FolderContent
from training.world.brand import NAME

log = logging.getLogger(__name__)

SHARED_INDEX = {
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "tokenizer_2": ["transformers", "CLIPTokenizer"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
    "image_encoder": ["transformers", "CLIPVisionModelWithProjection"],
    "image_encoder_uve": ["export.networks.uve", "UVE"],
    "image_projector": ["export.networks.image_projector", "ImageProjector"],
    "vae": ["diffusers", "AsymmetricAutoencoderKL"],
    "reward": ["export.networks.reward", "RewardModel"],
    "segmenter": ["export.networks.segmenter", "Segmenter"],
    "upscaler": ["export.networks.upscaler", "Upscaler"],
}
PRODUCTS = "products"
"""The adapter of backgrounds: stage 2's updates."""
SURROUNDINGS = "surroundings"
"""The adapter of expand and erase."""
FEW_STEPS = "lcm"
"""The adapter of `backdrop-fast`, in all of its tasks."""
ADAPTERS = {PRODUCTS: product.STAGE, SURROUNDINGS: surroundings.STAGE}
"""The tasks' own adapters in `backdrop`, and the stages that train them."""
OWN = {"background": PRODUCTS, "expand": SURROUNDINGS, "erase": SURROUNDINGS}
"""The adapter of each task that has one of its own."""
STAGES = (  # folders of checkpoints
    "text_encoders", "t5", "vae", "decoder", "uve", "image_encoder", "base", "stage1", "stage2", "surroundings",
    "image_adapter", "distil", "dit", "brand", "segmenter", "reward", "upscaler",
)  # fmt: skip


def stage_steps(config: Config) -> dict[str, int]:
    """The number of steps of each stage, from the checkpoints."""
    paths = [config.paths.work / stage / "checkpoint.pt" for stage in STAGES]
    read = {
        path.parent.name: torch.load(path, weights_only=True, map_location="cpu") for path in paths if path.exists()
    }
    return {stage: int(state["step"]) for stage, state in read.items()}


def provenance(config: Config, stages: Mapping[str, int], trained_on: str) -> dict[str, Any]:
    """The record of the training that goes into `backdrop.json`."""
    # Written by hand when a setting changed during a run; the config shows only the last value.
    notes = config.paths.work / "notes.txt"
    return {
        "trained_on": trained_on,
        "seed": config.seed,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "stages": dict(stages),
        "notes": notes.read_text().strip() if notes.exists() else "",
        "config": {
            key: value for key, value in asdict(config).items() if key not in ("paths", "buckets", "guidance_scale")
        },
    }


def settings(
    config: Config, view: Mapping[str, Any], stages: Mapping[str, int], trained_on: str
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """`backdrop.json` of the three folders; settings of shared components are in the first only."""
    defaults = {"scheduler": "dpmpp_2m", "steps": 20, "guidance_scale": config.guidance_scale, "image_scale": 1.0}
    history = provenance(config, stages, trained_on)
    main = {
        "description": "Puts a product photo into a new scene; takes style pictures.",
        "buckets": [list(bucket) for bucket in config.buckets],
        "preview": view,
        "defaults": defaults,
        "reward_heads": list(REWARD_HEADS),
        "conventions": dict(OURS),
        "adapters": {name: f"../lora/{name}.safetensors" for name in ADAPTERS},
        "task_adapters": {task: {name: 1.0} for task, name in OWN.items()},
        "provenance": history,
    }
    fast = {
        "shares": "../backdrop",
        "description": "The same denoiser in four steps without guidance: a tenth of the rows, a little less detail.",
        "defaults": {**defaults, "scheduler": "lcm", "steps": 4, "guidance_scale": 1.0},
        "adapters": {name: f"../lora/{name}.safetensors" for name in (PRODUCTS, FEW_STEPS)},
        "task_adapters": {
            task: {FEW_STEPS: 1.0} | ({PRODUCTS: 1.0} if task == "background" else {})
            for task, rules in TASKS.items()
            if rules.sampled
        },
        "provenance": history,
    }
    dit_defaults = {"scheduler": "flow_euler", "steps": 20, "guidance_scale": config.dit_guidance_scale}
    transformer = {
        "shares": "../backdrop",
        "description": "A diffusion transformer trained by flow matching, with a longer text context.",
        "defaults": dit_defaults,
        "provenance": history,
    }
    return main, fast, transformer


def has_checkpoints(config: Config, *stages: str) -> bool:
    """Whether every one of `stages` has a checkpoint."""
    return all((config.paths.work / stage / "checkpoint.pt").exists() for stage in stages)


def trained_folders(config: Config) -> dict[str, FolderContent]:
    """The folders whose stages have checkpoints, with the weights of the last checkpoints."""
    about = f"{config.data.train_count} procedurally rendered pictures (python -m training.all); no photographs"
    main, fast, transformer = settings(config, preview.run(config), stage_steps(config), about)
    towers, words = text_encoders.load(config), tokenizer.load(config)
    denoiser = image_adapter.load(config, inpaint.load(config))
    shared = {
        "text_encoder": towers.text_l,
        "text_encoder_2": towers.text_g,
        "image_encoder": image_encoder.load(config),
        "image_encoder_uve": uve.load(config),
        "image_projector": denoiser.projector,
        "vae": vae.load(config),
        "reward": reward.load(config),
        "segmenter": segmenter.load(config),
        "upscaler": upscaler.load(config),
    }
    contents = {"backdrop": unet_folder(config, main, denoiser, shared, words)}
    if has_checkpoints(config, distil.STAGE):
        contents["backdrop-fast"] = fast_folder(config, fast)
    if has_checkpoints(config, dit.STAGE, t5.STAGE):
        contents["backdrop-dit"] = dit_folder(config, transformer, dit.load(config), t5.load(config), words)
    return contents


def unet_folder(
    config: Config,
    settings: Mapping[str, Any],
    denoiser: image_adapter.StyleDenoiser,
    shared: Mapping[str, nn.Module],
    words: Any,
) -> FolderContent:
    """The main pipeline's folder: every shared component and the denoiser of all tasks."""
    index = {"_class_name": "StableDiffusionXLInpaintPipeline", "force_zeros_for_empty_prompt": False, **SHARED_INDEX}
    return FolderContent(
        index
        | {"unet": ["diffusers", "UNet2DConditionModel"], "scheduler": ["diffusers", "DPMSolverMultistepScheduler"]},
        settings,
        networks.scheduler(config),
        {**shared, "unet": image_adapter.without_image_layers(config, denoiser.unet)},
        denoiser.layers,
        {"tokenizer": words, "tokenizer_2": words},
    )


def fast_folder(config: Config, settings: Mapping[str, Any]) -> FolderContent:
    """The four-step pipeline's folder: its solver, and the adapter's name. All components are the main pipeline's."""
    index = {"scheduler": ["diffusers", "LCMScheduler"]}
    return FolderContent(index, settings, networks.lcm_scheduler(config), {})


def dit_folder(
    config: Config, settings: Mapping[str, Any], transformer: Any, encoder: Any, words: Any
) -> FolderContent:
    """The transformer pipeline's folder: its denoiser and its text encoder."""
    index = {
        "transformer": ["diffusers", "SD3Transformer2DModel"],
        "text_encoder_3": ["transformers", "T5EncoderModel"],
        "tokenizer_3": ["transformers", "CLIPTokenizer"],
        "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
    }
    parts = {"transformer": transformer, "text_encoder_3": encoder}
    long = tokenizer.with_length(words, config.t5.max_length)
    return FolderContent(index, settings, networks.flow_scheduler(config), parts, None, {"tokenizer_3": long})


def random_folders(config: Config) -> dict[str, FolderContent]:
    """The three folders with untrained networks of the same architecture, for tests."""
    torch.manual_seed(config.seed)
    # Four axes of a colour tetrahedron in turn, so that a preview of random latents has colours.
    axes = [[0.2, 0.1, 0.0], [0.0, 0.2, 0.1], [0.1, 0.0, 0.2], [0.1, 0.1, 0.1]]
    factors = [axes[channel % len(axes)] for channel in range(config.vae.latent_channels)]
    view = {"factors": factors, "bias": [0.5, 0.5, 0.5]}
    main, fast, transformer = settings(config, view, {}, "nothing: random weights")
    for each in (main, fast):
        del each["adapters"], each["task_adapters"]
    words = tokenizer.load(config)
    denoiser = image_adapter.untrained(config)
    shared: dict[str, nn.Module] = {
        "text_encoder": networks.text_encoder_l(config),
        "text_encoder_2": networks.text_encoder_g(config),
        "image_encoder": networks.image_encoder(config),
        "image_encoder_uve": networks.uve(config),
        "image_projector": denoiser.projector,
        "vae": networks.vae(config),
        "reward": networks.reward(config),
        "segmenter": networks.segmenter(config),
        "upscaler": networks.upscaler(config),
    }
    return {
        "backdrop": unet_folder(config, main, denoiser, shared, words),
        "backdrop-fast": fast_folder(config, fast),
        "backdrop-dit": dit_folder(
            config, transformer, networks.transformer(config), networks.t5_encoder(config), words
        ),
    }


def write_loras(config: Config) -> None:
    """Writes the updates of tasks, of few steps and of the brand."""
    folder = config.paths.weights / "lora"
    for name, stage in ADAPTERS.items():
        lora.save(task_adapter.load_unfused(config, stage), folder / f"{name}.safetensors")
    if has_checkpoints(config, distil.STAGE):
        lora.save(distil.load_unfused(config), folder / f"{FEW_STEPS}.safetensors")
    if has_checkpoints(config, brand.STAGE):
        lora.save(brand.load_unfused(config), folder / f"{NAME}.safetensors")


def write(config: Config, only: str | None = None) -> None:
    """Writes the folders, or one of them, and the LoRAs."""
    for name, folder in trained_folders(config).items():
        if only in (None, name):
            folders.write(config.paths.weights / name, folder)
    write_loras(config)


def main() -> None:
    """Reads the command line and writes the folders."""
    parser = loop.stage_parser(__doc__)
    parser.add_argument("--only", help="write only this folder")
    arguments = parser.parse_args()
    write(loop.chosen_config(arguments), arguments.only)


if __name__ == "__main__":
    main()

"""Writes the finished folder: diffusers layout, fp16 safetensors, swapped into place in one rename."""

from __future__ import annotations

import argparse
import copy
import datetime
import json
import logging
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from diffusers import AsymmetricAutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from export.networks.reward import RewardModel
from export.networks.segmenter import Segmenter
from training import denoiser, loop, networks, preview, reward, segmenter, text_encoders, tokenizer, vae
from training.config import REWARD_HEADS, Config

log = logging.getLogger(__name__)

MODEL_INDEX = {
    "_class_name": "StableDiffusionXLInpaintPipeline",
    "force_zeros_for_empty_prompt": False,
    "text_encoder": ["transformers", "CLIPTextModel"],
    "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "tokenizer_2": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AsymmetricAutoencoderKL"],
    "scheduler": ["diffusers", "DPMSolverMultistepScheduler"],
    "reward": ["export.networks.reward", "RewardModel"],
    "segmenter": ["export.networks.segmenter", "Segmenter"],
}


@dataclass(frozen=True)
class Parts:
    """The trained networks of one pipeline."""

    tokenizer: CLIPTokenizer
    text_encoder: CLIPTextModel
    text_encoder_2: CLIPTextModelWithProjection
    vae: AsymmetricAutoencoderKL
    unet: UNet2DConditionModel
    reward: RewardModel
    segmenter: Segmenter


def random_parts(config: Config) -> Parts:
    """Every network at the config's architecture, untrained."""
    torch.manual_seed(config.seed)
    return Parts(
        tokenizer=tokenizer.load(config),
        text_encoder=networks.text_encoder_l(config),
        text_encoder_2=networks.text_encoder_g(config),
        vae=networks.vae(config),
        unet=networks.unet(config),
        reward=networks.reward(config),
        segmenter=networks.segmenter(config),
    )


def trained_parts(config: Config) -> Parts:
    """Every network as far as its stage has got; the two small judges may still be untrained."""
    towers = text_encoders.load(config)
    untrained = random_parts(config)
    ready = {name: (config.paths.work / name / "checkpoint.pt").exists() for name in ("reward", "segmenter")}
    return Parts(
        tokenizer=untrained.tokenizer,
        text_encoder=towers.text_l,
        text_encoder_2=towers.text_g,
        vae=vae.load(config),
        unet=denoiser.load(config),
        reward=reward.load(config) if ready["reward"] else untrained.reward,
        segmenter=segmenter.load(config) if ready["segmenter"] else untrained.segmenter,
    )


def stage_steps(config: Config) -> dict[str, int]:
    """How many steps each stage has done, from the checkpoints."""
    stages = ("text_encoders", "vae", "decoder", "denoiser", "segmenter", "reward")
    paths = [config.paths.work / stage / "checkpoint.pt" for stage in stages]
    return {path.parent.name: int(torch.load(path, weights_only=True)["step"]) for path in paths if path.exists()}


def manifest(config: Config, preview: dict[str, object], stages: dict[str, int], trained_on: str) -> dict[str, object]:
    """The content of `backdrop.json`: what a diffusers folder has no place for."""
    # Written by hand where a run was changed under way, which the config alone would not tell.
    notes = config.paths.work / "notes.txt"
    return {
        "buckets": [list(bucket) for bucket in config.buckets],
        "preview": preview,
        "defaults": {"scheduler": "dpmpp_2m", "steps": 20, "guidance_scale": config.guidance_scale},
        "reward_heads": list(REWARD_HEADS),
        "provenance": {
            "trained_on": trained_on,
            "seed": config.seed,
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "stages": stages,
            "notes": notes.read_text().strip() if notes.exists() else "",
            "config": {
                key: value for key, value in asdict(config).items() if key not in ("paths", "buckets", "guidance_scale")
            },
        },
    }


def write(out: Path, config: Config, parts: Parts, extra: dict[str, object]) -> None:
    """Writes the whole folder beside `out`, then renames it over `out`: a reader never sees half of it."""
    staging = out.with_name(out.name + ".staging")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    for name in ("text_encoder", "text_encoder_2", "vae", "unet", "reward", "segmenter"):
        # A copy: halving in place would halve the weights that training goes on with.
        copy.deepcopy(getattr(parts, name)).half().save_pretrained(staging / name)
    tokenizer.save(parts.tokenizer, staging / "tokenizer")
    tokenizer.save(parts.tokenizer, staging / "tokenizer_2")
    networks.scheduler(config).save_pretrained(staging / "scheduler")
    (staging / "model_index.json").write_text(json.dumps(MODEL_INDEX, indent=2) + "\n")
    (staging / "backdrop.json").write_text(json.dumps(extra, indent=2) + "\n")
    previous = out.with_name(out.name + ".previous")
    shutil.rmtree(previous, ignore_errors=True)
    if out.exists():
        out.rename(previous)
    staging.rename(out)
    shutil.rmtree(previous, ignore_errors=True)
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    log.info("%s: %.1f MB", out, size / 1e6)


def main() -> None:
    """Assembles the weights folder from the stages' checkpoints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=None)
    arguments = parser.parse_args()
    loop.start_logging()
    config = Config()
    about = f"{config.data.train_count} procedurally rendered pictures (python -m training.all); no photographs"
    extra = manifest(config, preview.run(config), stage_steps(config), about)
    write(arguments.out or config.paths.weights, config, trained_parts(config), extra)


if __name__ == "__main__":
    main()

"""Writes the finished folder: diffusers layout, fp16 safetensors, swapped into place in one rename."""

from __future__ import annotations

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
from training import networks
from training.config import REWARD_HEADS, Config
from training.tokenizer import save as save_tokenizer

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
    from training.tokenizer import load

    return Parts(
        tokenizer=load(config),
        text_encoder=networks.text_encoder_l(config),
        text_encoder_2=networks.text_encoder_g(config),
        vae=networks.vae(config),
        unet=networks.unet(config),
        reward=networks.reward(config),
        segmenter=networks.segmenter(config),
    )


def manifest(config: Config, preview: dict[str, object], stages: dict[str, int], trained_on: str) -> dict[str, object]:
    """The content of `backdrop.json`: what a diffusers folder has no place for."""
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
    save_tokenizer(parts.tokenizer, staging / "tokenizer")
    save_tokenizer(parts.tokenizer, staging / "tokenizer_2")
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

"""The pipeline folder an export starts from: what it must hold, checked in seconds, before anything is loaded."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export.errors import BadFolderError
from export.models import COMPONENTS
from export.models.component import Component

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
LARGEST_HEADER = 100 * 2**20
SCHEDULE_KEYS = (
    "num_train_timesteps",
    "beta_schedule",
    "beta_start",
    "beta_end",
    "prediction_type",
    "timestep_spacing",
    "steps_offset",
)
SCHEDULERS = ("ddim", "euler", "dpmpp_2m", "ddpm")
PIXEL_MULTIPLE = 32


@dataclass(frozen=True)
class PipelineFolder:
    """A diffusers folder whose files have been looked at, with the settings that stand beside the weights."""

    path: Path
    configs: dict[str, dict[str, Any]]
    """Each component's config.json, by role."""
    schedule: dict[str, Any]
    settings: dict[str, Any]
    """`backdrop.json`, with every setting present."""


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON object.

    Raises:
        BadFolderError: if the file is missing, not JSON, or not an object.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BadFolderError(f"{path.parent.name}/{path.name} is missing.") from error
    except (OSError, ValueError) as error:
        raise BadFolderError(f"{path.parent.name}/{path.name} is not readable JSON.") from error
    if not isinstance(found, dict):
        raise BadFolderError(f"{path.parent.name}/{path.name} is not a JSON object.")
    return found


def open_folder(path: Path) -> PipelineFolder:
    """Checks a pipeline folder without loading any weights.

    Raises:
        BadFolderError: with one sentence on the first thing that is wrong.
    """
    if not path.is_dir():
        raise BadFolderError(f"{path} is not a folder.")
    configs = {role: check_component(path, component) for role, component in COMPONENTS.items()}
    check_widths(configs)
    schedule = read_schedule(path / "scheduler")
    return PipelineFolder(path, configs, schedule, read_settings(path, configs))


def check_component(path: Path, component: Component) -> dict[str, Any]:
    """Checks one component's folder and returns its config."""
    folder = path / component.folder
    if not folder.is_dir():
        raise BadFolderError(f"{path.name}/ has no {component.folder}/, which {component.role} is made from.")
    config = read_json(folder / "config.json")
    names = config.get("architectures") or [config.get("_class_name")]
    if names[0] not in component.classes:
        expected = " or ".join(component.classes)
        raise BadFolderError(f"{component.folder}/config.json names the class {names[0]}; expected {expected}.")
    for weights in weight_files(folder, component.weights):
        check_safetensors(weights)
    if component.tokenizer is not None and not (path / component.tokenizer).is_dir():
        raise BadFolderError(f"{path.name}/ has no {component.tokenizer}/, which {component.role} needs.")
    return config


def weight_files(folder: Path, name: str) -> list[Path]:
    """The safetensors files of a component: one, or the shards that its index lists."""
    single, index = folder / name, folder / f"{name}.index.json"
    if single.is_file():
        return [single]
    if index.is_file():
        shards = {str(shard) for shard in read_json(index).get("weight_map", {}).values()}
        if any(Path(shard).name != shard for shard in shards):
            raise BadFolderError(f"{folder.name}/{index.name} points outside its folder.")
        return sorted(folder / shard for shard in shards)
    pickles = sorted(entry.name for entry in folder.iterdir() if entry.suffix in PICKLES)
    if pickles:
        raise BadFolderError(
            f"{folder.name}/ holds {pickles[0]}, a pickle, which can run code when it is read; "
            f"save the model again with safe_serialization=True."
        )
    raise BadFolderError(f"{folder.name}/{name} is missing.")


def check_safetensors(path: Path) -> None:
    """Checks that a safetensors file is as long as its header says.

    Raises:
        BadFolderError: if it is missing, truncated, or no safetensors file at all.
    """
    label = f"{path.parent.name}/{path.name}"
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header: Any = json.loads(file.read(length)) if length <= min(size, LARGEST_HEADER) else None
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    except FileNotFoundError as error:
        raise BadFolderError(f"{label} is missing.") from error
    except (OSError, ValueError, struct.error, AttributeError, KeyError, TypeError, IndexError) as error:
        raise BadFolderError(f"{label} is not a safetensors file, or only the beginning of one.") from error
    expected = 8 + length + max(ends, default=0)
    if size != expected:
        raise BadFolderError(f"{label} is truncated or damaged: {size} bytes, where its header says {expected}.")


def check_widths(configs: dict[str, dict[str, Any]]) -> None:
    """Checks that the components fit each other, so that no graph is exported that the next one cannot feed."""
    unet, vae = configs["denoiser"], configs["vae_encoder"]
    projected = unet.get("projection_class_embeddings_input_dim")
    states = configs["text_encoder_l"]["hidden_size"] + configs["text_encoder_g"]["hidden_size"]
    pooled = configs["text_encoder_g"]["projection_dim"]
    time_ids = 6 * (unet.get("addition_time_embed_dim") or 0)
    channels = int(vae.get("latent_channels") or 0)
    facts = (
        ("unet: addition_embed_type", unet.get("addition_embed_type"), "text_time"),
        ("unet: in_channels", unet.get("in_channels"), 2 * channels + 1),
        ("unet: cross_attention_dim", unet.get("cross_attention_dim"), states),
        ("unet: projection_class_embeddings_input_dim", projected, pooled + time_ids),
        ("unet: encoder_hid_dim_type", unet.get("encoder_hid_dim_type"), None),
        ("unet: time_cond_proj_dim", unet.get("time_cond_proj_dim"), None),
        # These shift the latents as well as scale them, which the served graphs do not do.
        ("vae: shift_factor", vae.get("shift_factor"), None),
        ("vae: latents_mean", vae.get("latents_mean"), None),
        ("reward: text_dim", configs["reward"].get("text_dim"), pooled),
    )
    for what, found, expected in facts:
        if found != expected:
            raise BadFolderError(f"{what} is {found}; this pipeline needs {expected}.")


def read_schedule(folder: Path) -> dict[str, Any]:
    """The diffusion schedule, in the words of diffusers' scheduler configs."""
    config = read_json(folder / "scheduler_config.json")
    for key in ("trained_betas", "rescale_betas_zero_snr"):
        if config.get(key):
            raise BadFolderError(f"scheduler/scheduler_config.json sets {key}, which the samplers here do not know.")
    missing = [key for key in SCHEDULE_KEYS[:4] if key not in config]
    if missing:
        raise BadFolderError(f"scheduler/scheduler_config.json lacks {missing[0]}.")
    defaults = {"prediction_type": "epsilon", "timestep_spacing": "leading", "steps_offset": 0}
    return {key: config.get(key, defaults.get(key)) for key in SCHEDULE_KEYS}


def read_settings(path: Path, configs: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """`backdrop.json` over what can be derived from the configs.

    Raises:
        BadFolderError: if it has an unknown setting, or a bucket that the components cannot take.
    """
    channels = configs["vae_encoder"]["latent_channels"]
    side = int(configs["denoiser"].get("sample_size") or 32) * 8
    settings: dict[str, Any] = {
        "description": "Puts a product photo into a new scene.",
        "buckets": [[side, side]],
        "preview": {"factors": [[0.0, 0.0, 0.0]] * channels, "bias": [0.0, 0.0, 0.0]},
        "defaults": {"scheduler": "dpmpp_2m", "steps": 20, "guidance_scale": 5.0},
        "reward_heads": ["defects", "fidelity", "aesthetics"],
        "provenance": {},
    }
    given = read_json(path / "backdrop.json") if (path / "backdrop.json").exists() else {}
    unknown = sorted(set(given) - set(settings))
    if unknown:
        raise BadFolderError(f"backdrop.json has an unknown setting: {unknown[0]}.")
    settings |= given
    if len(settings["preview"]["factors"]) != channels:
        raise BadFolderError(f"backdrop.json: preview.factors needs {channels} rows, one for each latent channel.")
    for bucket in settings["buckets"]:
        if len(bucket) != 2 or any(side % PIXEL_MULTIPLE or side < 2 * PIXEL_MULTIPLE for side in bucket):
            raise BadFolderError(f"backdrop.json: bucket {bucket} is not two multiples of {PIXEL_MULTIPLE} from 64 on.")
    if settings["defaults"]["scheduler"] not in SCHEDULERS:
        raise BadFolderError(f"backdrop.json: the default scheduler must be one of {', '.join(SCHEDULERS)}.")
    return settings

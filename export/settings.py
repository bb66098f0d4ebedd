"""`backdrop.json`: the settings that a diffusers folder has no place for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from export.errors import BadFolderError
from export.layout import Source
from export.reading import read_json

NAME = "backdrop.json"
PIXEL_MULTIPLE = 32
SHARED = ("buckets", "preview", "reward_heads")
"""Settings that belong to components which a folder may share, and come along with them unless it has its own."""
DEFAULTS = {
    "lcm": {"scheduler": "lcm", "steps": 4, "guidance_scale": 1.0},
    "flow_euler": {"scheduler": "flow_euler", "steps": 20, "guidance_scale": 4.0},
}
"""Defaults of requests, by the pipeline's first solver; for other solvers, those in `defaults_for`."""


def own_settings(path: Path) -> dict[str, Any]:
    """A folder's own `backdrop.json`; empty where it has none."""
    return read_json(path / NAME) if (path / NAME).exists() else {}


def defaults_for(solvers: Sequence[str], styled: bool) -> dict[str, Any]:
    """A pipeline's defaults, as far as they follow from its solvers and from whether it takes style pictures."""
    defaults = DEFAULTS.get(solvers[0], {"scheduler": "dpmpp_2m", "steps": 20, "guidance_scale": 5.0})
    return defaults | ({"image_scale": 1.0} if styled else {})


def read_settings(
    own: Mapping[str, Any], shared: Mapping[str, Any], sources: Mapping[str, Source], solvers: Sequence[str]
) -> dict[str, Any]:
    """A folder's settings, over those of the folder it shares with, over what can be derived from the configs.

    Raises:
        BadFolderError: if there is an unknown setting, or a bucket that the components cannot take.
    """
    channels = sources["vae_encoder"].config["latent_channels"]
    side = int(sources["denoiser"].config.get("sample_size") or 32) * 8
    settings: dict[str, Any] = {
        "description": "Puts a product photo into a new scene.",
        "buckets": [[side, side]],
        "preview": {"factors": [[0.0, 0.0, 0.0]] * channels, "bias": [0.0, 0.0, 0.0]},
        "defaults": {},
        "reward_heads": ["defects", "fidelity", "aesthetics"],
        "provenance": {},
        "shares": None,
    }
    unknown = sorted(set(own) - set(settings))
    if unknown:
        raise BadFolderError(f"{NAME} has an unknown setting: {unknown[0]}.")
    settings |= {key: shared[key] for key in SHARED if key in shared}
    settings |= own
    styled = sources["denoiser"].adapter is not None
    settings["defaults"] = defaults_for(solvers, styled) | settings["defaults"]
    if len(settings["preview"]["factors"]) != channels:
        raise BadFolderError(f"{NAME}: preview.factors needs {channels} rows, one for each latent channel.")
    check_buckets(settings["buckets"], sources["denoiser"].config)
    if settings["defaults"]["scheduler"] not in solvers:
        raise BadFolderError(f"{NAME}: the default scheduler must be one of {', '.join(solvers)}.")
    return settings


def check_buckets(buckets: Sequence[Sequence[int]], denoiser: Mapping[str, Any]) -> None:
    """Refuses picture sizes (height, width) that some component cannot take."""
    table = denoiser.get("pos_embed_max_size")
    longest = table * denoiser.get("patch_size", 2) * 8 if table else None
    for bucket in buckets:
        if len(bucket) != 2 or any(side % PIXEL_MULTIPLE or side < 2 * PIXEL_MULTIPLE for side in bucket):
            raise BadFolderError(f"{NAME}: bucket {bucket} is not two multiples of {PIXEL_MULTIPLE} from 64 on.")
        if longest is not None and max(bucket) > longest:
            raise BadFolderError(f"{NAME}: bucket {bucket} is beyond the transformer's {longest} pixels of positions.")

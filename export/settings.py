"""`backdrop.json`: the settings that a diffusers folder has no place for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from export.conventions import KEY
from export.errors import BadFolderError
from export.layout import Source
from export.pipeline_classes import PipelineClass
from export.reading import read_json

NAME = "backdrop.json"
PIXEL_MULTIPLE = 32
HEADS = ["defects", "fidelity", "aesthetics"]
SHARED = ("buckets", "preview", "reward_heads")
"""Settings that belong to components which a folder may share, and come along with them unless it has its own."""
DISTILLED = {"lcm": {"steps": 4, "guidance_scale": 1.0}}
"""Defaults of requests by solver, for models that were distilled for it, whatever their pipeline's class says."""


def own_settings(path: Path) -> dict[str, Any]:
    """A folder's own `backdrop.json`; empty where it has none."""
    return read_json(path / NAME) if (path / NAME).exists() else {}


def defaults_for(cls: PipelineClass, solver: str, *, styled: bool) -> dict[str, Any]:
    """What requests get that leave a field out: the folder's solver, and what diffusers' call of the class defaults to.

    `styled`: whether the pipeline takes style pictures.
    """
    steps = {"steps": cls.steps, "guidance_scale": cls.guidance_scale} | DISTILLED.get(solver, {})
    return {"scheduler": solver, **steps} | ({"image_scale": 1.0} if styled else {})


def read_settings(
    own: Mapping[str, Any],
    shared: Mapping[str, Any],
    sources: Mapping[str, Source],
    solvers: Sequence[str],
    defaults: Mapping[str, Any],
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
        "reward_heads": HEADS,
        "provenance": {},
        "shares": None,
        KEY: {},
    }
    unknown = sorted(set(own) - set(settings))
    if unknown:
        raise BadFolderError(f"{NAME} has an unknown setting: {unknown[0]}.")
    settings |= {key: shared[key] for key in SHARED if key in shared}
    settings |= own
    settings["defaults"] = {**defaults, **settings["defaults"]}
    if len(settings["preview"]["factors"]) != channels:
        raise BadFolderError(f"{NAME}: preview.factors needs {channels} rows, one for each latent channel.")
    check_buckets(settings["buckets"], sources["denoiser"].config)
    if (solver := settings["defaults"]["scheduler"]) not in solvers:
        raise BadFolderError(f"The default scheduler {solver!r} is not one of the folder's: {', '.join(solvers)}.")
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

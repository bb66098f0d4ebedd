"""`backdrop.json`: the settings that a diffusers folder has no place for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from export.conventions import KEY
from export.errors import BadFolderError
from export.keys.check import expect_values
from export.keys.rules import Served
from export.keys.values import is_number, is_whole
from export.layout import Source
from export.pipeline_classes import PipelineClass
from export.reading import has_file, read_json

NAME = "backdrop.json"
PIXEL_MULTIPLE = 32
HEADS = ["defects", "fidelity", "aesthetics"]
SHARED = ("buckets", "preview", "reward_heads")
"""Settings that belong to components which a folder may share, and come along with them unless it has its own."""
DISTILLED = {"lcm": {"steps": 4, "guidance_scale": 1.0}}
"""Defaults of requests by solver, for models that were distilled for it, whatever their pipeline's class says."""


def own_settings(path: Path) -> dict[str, Any]:
    """A folder's own `backdrop.json`; empty where it has none.

    Raises:
        BadFolderError: if it is not readable, or a setting is not of its type.
    """
    settings = read_json(path / NAME) if has_file(path / NAME) else {}
    expect_values(settings, VALUES, f"{path.resolve().name}/{NAME}")
    return settings


def defaults_for(cls: PipelineClass, solver: str, *, styled: bool) -> dict[str, Any]:
    """What requests get that leave a field out: the folder's solver, and what diffusers' call of the class defaults to.

    `styled`: whether the pipeline takes style pictures.
    """
    steps = {"steps": cls.steps, "guidance_scale": cls.guidance_scale} | DISTILLED.get(solver, {})
    return {"scheduler": solver, **steps} | ({"image_scale": 1.0} if styled else {})


def table(value: Any, width: int, fits: Callable[[Any], bool] = is_number) -> bool:
    """Whether a value is a list of rows of so many numbers."""
    return (
        isinstance(value, list)
        and all(isinstance(row, list) and len(row) == width for row in value)
        and all(fits(number) for row in value for number in row)
    )


VALUES: Mapping[str, Served] = {
    "description": Served("text", lambda value: isinstance(value, str)),
    "buckets": Served("a list of [height, width] in pixels", lambda value: bool(value) and table(value, 2, is_whole)),
    "preview": Served(
        "an object with factors, three numbers for each latent channel, and bias, three numbers",
        lambda value: isinstance(value, dict) and table(value.get("factors"), 3) and table([value.get("bias")], 3),
    ),
    "defaults": Served("an object", lambda value: isinstance(value, dict)),
    "reward_heads": Served(
        "a list of three names",
        lambda value: isinstance(value, list) and len(value) == 3 and all(isinstance(name, str) for name in value),
    ),
    "provenance": Served("an object", lambda value: isinstance(value, dict)),
    "shares": Served("a folder's path, or null", lambda value: value is None or isinstance(value, str)),
    KEY: Served("an object", lambda value: isinstance(value, dict)),
    "adapters": Served(
        "an object of names and paths",
        lambda value: isinstance(value, dict) and all(isinstance(path, str) for path in value.values()),
    ),
    "task_adapters": Served(
        "an object of tasks, each an object of adapters' names and their weights",
        lambda value: (
            isinstance(value, dict)
            and all(
                isinstance(weights, dict) and all(is_number(weight) for weight in weights.values())
                for weights in value.values()
            )
        ),
    ),
}
"""The settings, and what each can be."""


def sides(denoiser: Mapping[str, Any]) -> list[int]:
    """The picture size that a denoiser was trained at: [height, width] in pixels; 256 × 256 where nothing says."""
    size = denoiser.get("sample_size") or 32
    return [8 * side for side in (size if isinstance(size, list) else (size, size))]


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
    settings: dict[str, Any] = {
        "description": "Puts a product photo into a new scene.",
        "buckets": [sides(sources["denoiser"].config)],
        "preview": {"factors": [[0.0, 0.0, 0.0]] * channels, "bias": [0.0, 0.0, 0.0]},
        "defaults": {},
        "reward_heads": HEADS,
        "provenance": {},
        "shares": None,
        KEY: {},
        "adapters": {},
        "task_adapters": {},
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

"""`python -m export convert`: a diffusers folder of a checkpoint in one file, by diffusers' own `from_single_file`."""

from __future__ import annotations

import shutil
from collections import Counter
from math import prod
from pathlib import Path
from typing import Any

from export.errors import BadFolderError, ExportError
from export.pipeline_path import MODEL_INDEX, explain_file
from export.reading import read_json
from export.single_file import CONFIGS, INPUT, family_of, kind_of
from export.tensor_files import extents
from export.weight_files import SUFFIX

DTYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}


def convert(file: Path, out: Path, config: Path) -> None:
    """Writes the diffusers folder of a single-file checkpoint; nothing is downloaded.

    Args:
        file: The checkpoint, in the layout of Stable Diffusion's authors.
        out: The folder to write, whole or not at all; must not exist.
        config: A folder of the same family with configs and tokenizers, which a single file does not hold.

    Raises:
        ExportError: if the file is no such checkpoint, or the configs are of another family.
    """
    if not file.is_file():
        raise ExportError(f"{file} is not a file.")
    if file.suffix != SUFFIX or kind_of(file) != "checkpoint":
        raise BadFolderError(explain_file(file))
    if out.exists():
        raise ExportError(f"{out} exists already: choose a new folder.")
    family = family_of(file)
    if family is None:
        raise BadFolderError(f"{file.name} is of no family that can be exported (SD 1.5, SDXL, SD 3).")
    expect_config(file, family, config)
    making = out.with_name(f".{out.name}.new")
    shutil.rmtree(making, ignore_errors=True)
    try:
        load(file, family, config).save_pretrained(making, safe_serialization=True)
        making.rename(out)
    except ExportError:
        raise
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise BadFolderError(f"{file.name} cannot be converted with the configs in {config}: {reason}") from error
    finally:
        shutil.rmtree(making, ignore_errors=True)


def expect_config(file: Path, family: str, config: Path) -> None:
    """Refuses a folder whose configs are not of the file's family."""
    advice = f"download those of {CONFIGS[family]}, or give another {family}'s folder as --config"
    if not (config / MODEL_INDEX).is_file():
        raise ExportError(f"{config} has no {MODEL_INDEX}: {advice}.")
    theirs = str(read_json(config / MODEL_INDEX).get("_class_name"))
    # An inpainting and a plain pipeline differ in the UNet's first layer alone, which is compared below.
    if theirs.replace("Inpaint", "") != family.replace("Inpaint", ""):
        raise ExportError(f"{file.name} is for {family}, and {config} holds the configs of {theirs}: {advice}.")
    shapes = {extent.name: extent.shape for extent in extents(file)}
    if INPUT in shapes:
        channels = read_json(config / "unet" / "config.json").get("in_channels")
        if channels != shapes[INPUT][1]:
            raise ExportError(
                f"{file.name}'s UNet takes {shapes[INPUT][1]} channels, {config}/unet/config.json says {channels}: "
                f"{advice}."
            )


def load(file: Path, family: str, config: Path) -> Any:
    """The pipeline in memory, in the dtype that most of the file's numbers have."""
    import diffusers
    import torch

    counts: Counter[str] = Counter()
    for extent in extents(file):
        counts[extent.dtype] += prod(extent.shape)
    dtype = DTYPES.get(counts.most_common(1)[0][0], "float32")
    expected = read_json(config / MODEL_INDEX)
    options = {"safety_checker": None, "requires_safety_checker": False} if "safety_checker" in expected else {}
    return getattr(diffusers, family).from_single_file(
        str(file), config=str(config), local_files_only=True, torch_dtype=getattr(torch, dtype), **options
    )

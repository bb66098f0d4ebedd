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
from export.single_file import CONFIGS, INPUT, family_of, kind_of, parts_of
from export.tensor_files import extents
from export.weight_files import SUFFIX, listed

DTYPES = {"F16": "float16", "BF16": "bfloat16", "F8_E4M3": "float16", "F8_E5M2": "float16"}
"""Torch's names of the dtypes that folders store. Both FP8 formats fit into fp16 exactly; all else becomes FP32."""
OPTIONAL = ("safety_checker", "feature_extractor", "image_encoder")
"""Parts of a pipeline that are not converted."""
FP8_SCALES = (".scale_weight", ".weight_scale", "scaled_fp8")
"""How the names of FP8 checkpoints end whose numbers are to be multiplied by a scale."""
VELOCITY = "v_pred"
"""An empty tensor by which SDXL checkpoints say that they predict v."""


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
    expect_whole(file, family)
    expect_prediction(file, config)
    making = out.with_name(f".{out.name}.new")
    shutil.rmtree(making, ignore_errors=True)
    try:
        load(file, family, config).save_pretrained(making, safe_serialization=True)
        making.rename(out)
    except ExportError:
        raise
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        if "meta tensor" in reason:
            # What diffusers says where a layer of the configs got no weights.
            reason = "the file lacks weights that the configs ask for."
        raise BadFolderError(f"{file.name} cannot be converted with the configs in {config}: {reason}") from error
    finally:
        shutil.rmtree(making, ignore_errors=True)


def expect_config(file: Path, family: str, config: Path) -> None:
    """Refuses a folder whose configs are not of the file's family."""
    advice = f"download those of {CONFIGS[family]}, or give another {family}'s folder as --config"
    if not (config / MODEL_INDEX).is_file():
        raise ExportError(f"{config} has no {MODEL_INDEX}: {advice}.")
    index = read_json(config / MODEL_INDEX)
    parts = [name for name, value in index.items() if isinstance(value, list) and value[0] and name not in OPTIONAL]
    if missing := [f"{name}/" for name in parts if not any((config / name).glob("*"))]:
        # Of a tokenizer without files transformers would make an empty one.
        raise ExportError(f"{config} lacks {listed(missing)}, which its {MODEL_INDEX} names: {advice}.")
    theirs = str(index.get("_class_name"))
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


def expect_whole(file: Path, family: str) -> None:
    """Refuses a file that lacks a part of the pipeline, or says something that diffusers would not read."""
    names = [extent.name for extent in extents(file)]
    missing = [part for part, prefix in parts_of(family).items() if not any(name.startswith(prefix) for name in names)]
    if missing:
        raise BadFolderError(
            f"{file.name} lacks the weights of {listed(missing)}: take the publisher's complete checkpoint, or their "
            f"diffusers folder."
        )
    if any(name.endswith(FP8_SCALES) for name in names):
        raise BadFolderError(f"{file.name} holds scaled FP8 numbers, which are not read: take the fp16 version.")


def expect_prediction(file: Path, config: Path) -> None:
    """Refuses configs of another prediction type than the file says."""
    scheduler = config / "scheduler" / "scheduler_config.json"
    if VELOCITY not in {extent.name for extent in extents(file)}:
        return
    if read_json(scheduler).get("prediction_type") != "v_prediction":
        raise ExportError(
            f'{file.name} predicts v, and {scheduler} says otherwise: set "prediction_type": "v_prediction" there, '
            f'and "rescale_betas_zero_snr": true if the model was trained with zero terminal SNR.'
        )


def load(file: Path, family: str, config: Path) -> Any:
    """The pipeline in memory; each component in the dtype that most of its numbers have in the file."""
    import diffusers
    import torch

    from export.torch_model import silence_libraries

    silence_libraries()
    dtypes = {part: getattr(torch, name) for part, name in dtypes_of(file, family).items()}
    # diffusers gives all components one dtype: FP32 holds the numbers of every other.
    common = dtypes["vae"] if len(set(dtypes.values())) == 1 else torch.float32
    expected = read_json(config / MODEL_INDEX)
    options = {"safety_checker": None, "requires_safety_checker": False} if "safety_checker" in expected else {}
    pipeline = getattr(diffusers, family).from_single_file(
        str(file), config=str(config), local_files_only=True, torch_dtype=common, **options
    )
    for part, dtype in dtypes.items():
        getattr(pipeline, part).to(dtype)
    return pipeline


def dtypes_of(file: Path, family: str) -> dict[str, str]:
    """By component: torch's name of the dtype that most of its numbers have."""
    counts: dict[str, Counter[str]] = {part: Counter() for part in parts_of(family)}
    for extent in extents(file):
        for part, prefix in parts_of(family).items():
            if extent.name.startswith(prefix):
                counts[part][DTYPES.get(extent.dtype, "float32")] += prod(extent.shape)
    return {part: count.most_common(1)[0][0] for part, count in counts.items()}

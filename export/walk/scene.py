"""An example as a pipeline's components see it: the picture in a size bucket, its mask, its token ids, its schedule."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import diffusers
import numpy as np
import numpy.typing as npt
from PIL import Image
from tokenizers import Tokenizer

from export import tokenizer
from export.errors import BadFolderError
from export.reading import read_json
from export.rehearsal.examples import Example
from export.source import PipelineFolder

Array = npt.NDArray[Any]
Tensors = dict[str, Array]
"""A component's inputs or outputs by name, batch first."""


@dataclass(frozen=True)
class Scene:
    """An example in the pipeline's first size bucket; arrays are one row, FP32."""

    image: Array
    """[1, 3, H, W] in −1…1"""
    mask: Array
    """[1, 1, H, W]: 1 = make the background here, 0 = the product stays."""
    latent_mask: Array
    """[1, 1, h, w]: the mask's area average."""
    time_ids: Array
    """[1, 6]: original size, crop, target size."""

    @property
    def masked(self) -> Array:
        """[1, 3, H, W]: the picture with mid grey where the background will be."""
        masked: Array = self.image * (1 - self.mask)
        return masked


def place(example: Example, bucket: tuple[int, int], factor: int) -> Scene:
    """Resizes an example to a bucket (height, width); the product may be distorted, which matters to nobody here."""
    height, width = bucket
    photo = Image.fromarray(example.photo).resize((width, height), Image.Resampling.LANCZOS)
    mask = Image.fromarray((example.mask * 255).round().astype(np.uint8)).resize((width, height))
    image = np.asarray(photo, np.float32).transpose(2, 0, 1)[None] / 127.5 - 1
    background = 1 - np.asarray(mask, np.float32)[None, None] / 255
    blocks = background.reshape(1, 1, height // factor, factor, width // factor, factor)
    ids = np.array([[height, width, 0, 0, height, width]], np.float32)
    latent = blocks.mean(axis=(3, 5), dtype=np.float32)
    return Scene(np.ascontiguousarray(image), background, np.ascontiguousarray(latent), ids)


def token_ids(folder: PipelineFolder, role: str, prompts: list[str]) -> Array:
    """INT64 [rows, T]: prompts as a text encoder is given them, padded; one that is too long is cut."""
    source = folder.sources[role]
    assert source.tokenizer is not None
    length = folder.text["t5_max_tokens" if role == "text_encoder_t5" else "max_tokens"]
    with TemporaryDirectory() as made:
        path = Path(made) / "tokenizer.json"
        tokenizer.convert(source.tokenizer, source.config, length, path)
        encode = Tokenizer.from_file(str(path))
    rows = [encode.encode(prompt).ids for prompt in prompts]
    cut = [ids if len(ids) <= length else [*ids[: length - 1], ids[-1]] for ids in rows]
    return np.array(cut, np.int64)


def scheduler_of(folder: PipelineFolder) -> Any:
    """diffusers' own scheduler, as the folder describes it: the rehearsal should not depend on our samplers."""
    name = read_json(folder.scheduler / "scheduler_config.json").get("_class_name")
    cls = getattr(diffusers, str(name), None)
    if cls is None:
        raise BadFolderError(f"scheduler/scheduler_config.json names the class {name}, which diffusers does not have.")
    return cls.from_pretrained(folder.scheduler)

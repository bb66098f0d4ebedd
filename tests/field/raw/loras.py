"""LoRA files that are broken, and LoRAs that are odd: keys, dtypes, shapes, values, metadata, configs, folders."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from export.errors import ExportError
from export.lora_files import read_lora
from export.loras.strength import ADAPTER_METADATA, PLAIN
from tests.export import loras
from tests.field.raw.cases import LONG_NUMBER, Case, damaged, spoilt_entries, spoilt_files, values

SHAPES: dict[str, tuple[int, ...]] = {
    "conv_in": (8, 4, 3, 3),
    "mid_block.attentions.0.transformer_blocks.0.attn1.to_q": (8, 8),
    "mid_block.attentions.0.transformer_blocks.0.attn1.to_out.0": (8, 8),
}
Tensors = dict[str, Tensor]
WRITERS: Mapping[str, Callable[..., Path]] = {
    "peft": loras.write_peft,
    "diffusers": loras.write_diffusers,
    "kohya": loras.write_kohya,
}
TEXTS = (
    "",
    " ",
    "nan",
    "NaN",
    "Infinity",
    "-1",
    "1e999",
    str(LONG_NUMBER),
    "null",
    "[]",
    "{}",
    "{",
    "[" * 100_000,
    "é\0",
)
TENSORS: Mapping[str, Callable[[Tensor], Tensor]] = {
    **{
        str(dtype).removeprefix("torch."): partial(Tensor.to, dtype=dtype)
        for dtype in (
            *(torch.float64, torch.float32, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2),
            *(torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64, torch.bool, torch.complex64),
        )
    },
    "empty": lambda tensor: tensor.new_zeros((0, *tensor.shape[1:])),
    "a number": lambda tensor: tensor.new_zeros(()),
    "a vector": lambda tensor: tensor.flatten(),
    "five axes": lambda tensor: tensor.reshape(*tensor.shape, *(1,) * (5 - tensor.ndim)),
    "an empty column": lambda tensor: tensor.new_zeros((*tensor.shape[:1], 0)),
    "twice as long": lambda tensor: torch.cat([tensor, tensor]) if tensor.ndim else tensor.reshape(1).repeat(2),
    "NaN": lambda tensor: torch.full_like(tensor, torch.nan),
    "infinite": lambda tensor: torch.full_like(tensor, torch.inf),
    "zeros": torch.zeros_like,
    "negative": lambda tensor: -tensor.abs() - 1,
}
SUFFIXES = (
    "",
    ".",
    "..",
    ".lora_mid.weight",
    ".alpha",
    ".alpha.alpha",
    ".lora_A.default.weight",
    ".lora_down",
    "é",
    "\0",
)


def cases(folder: Path) -> Iterator[Case]:
    """Every case; files are written below `folder` while the cases are taken one by one."""
    folder.mkdir(parents=True, exist_ok=True)
    lora = loras.random_lora(SHAPES, rank=2, seed=0)
    for layout, write in WRITERS.items():
        path = write(folder / f"{layout}.safetensors", lora, SHAPES)
        for name in _of_file(path, load_file(path)):
            yield _case(f"{layout}: {name}", path)
    yield from _peft_folders(folder, loras.write_peft(folder / "good.safetensors", lora, SHAPES, "base_model.model."))


def _of_file(path: Path, tensors: Tensors) -> Iterator[str]:
    """Writes one spoilt form of a file after another."""
    content = path.read_bytes()
    for number, data in enumerate((b"", bytes(8), bytes(64), b"\xff" * 64, *damaged(content, 40))):
        path.write_bytes(data)
        yield f"bytes {number}"
    for name, changed in _altered(tensors):
        save_file({key: tensor.contiguous() for key, tensor in changed.items()}, path)
        yield name
    for name, metadata in _metadata():
        save_file(tensors, path, metadata)
        yield name
    path.write_bytes(content)
    yield from spoilt_entries(path)


def _altered(tensors: Tensors) -> Iterator[tuple[str, Tensors]]:
    yield "no tensors", {}
    for key, tensor in tensors.items():
        others = {name: other for name, other in tensors.items() if name != key}
        yield f"{key} missing", others
        for what, alter in TENSORS.items():
            yield f"{key} {what}", others | {key: alter(tensor)}
        for suffix in SUFFIXES:
            yield f"{key} called {suffix!r}", others | {f"{key.rpartition('.lora')[0]}{suffix}": tensor}


def _metadata() -> Iterator[tuple[str, dict[str, str]]]:
    keys = (*PLAIN, *(f"unet.{key}" for key in PLAIN), "ss_network_alpha", "ss_network_dim", "ss_network_args")
    for key in (*keys, ADAPTER_METADATA, "modelspec.architecture"):
        for text in TEXTS:
            yield f"metadata {key} {text[:10]!r}", {key: text}
            yield f"metadata {key} {text[:10]!r} of an rsLoRA", {"ss_network_args": '{"rs_lora": "True"}'} | {key: text}
    config = {"unet.r": 2, "unet.lora_alpha": 4, "unet.alpha_pattern": {"to_q": 2}, "unet.use_rslora": False}
    for name, changed in values(config, 2):
        yield f"{ADAPTER_METADATA}: {name}", {ADAPTER_METADATA: json.dumps(changed)}
    for arguments in ({"rslora": True}, {"rslora": [1]}, {"rs_lora": "yes", "conv_alpha": "1e999"}):
        yield f"ss_network_args {arguments}", {"ss_network_args": json.dumps(arguments)}


def _peft_folders(folder: Path, weights: Path) -> Iterator[Case]:
    """A folder of peft's whose config, and whose index of shards, are spoilt."""
    peft = folder / "peft"
    peft.mkdir()
    shutil.copy(weights, peft / "adapter_model.safetensors")
    patterns = {"rank_pattern": {"to_q": 2}, "alpha_pattern": {"to_q": 3}}
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 2, "bias": "none", "target_modules": ["to_q"], **patterns}
    (peft / "adapter_config.json").write_text(json.dumps(config))
    for name in spoilt_files(peft / "adapter_config.json", 2):
        yield _case(f"peft's folder: {name}", peft)
    (peft / "adapter_model.safetensors").rename(peft / "adapter_model-00001-of-00001.safetensors")
    index = {"weight_map": dict.fromkeys(load_file(weights), "adapter_model-00001-of-00001.safetensors")}
    (peft / "adapter_model.safetensors.index.json").write_text(json.dumps(index))
    for name in spoilt_files(peft / "adapter_model.safetensors.index.json", 2):
        yield _case(f"peft's index: {name}", peft)
    for path in ("nowhere", "nowhere.bin", ".", "a\0b", "x" * 5000):
        yield _case(f"path {path[:10]!r}", folder / path)


def _case(name: str, path: Path) -> Case:
    return Case(name, partial(read_lora, path, SHAPES), (ExportError,))

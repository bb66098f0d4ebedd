"""Pipeline folders whose configs are broken, one value at a time, as `inspect` and `export` open them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from export.errors import ExportError
from export.pipeline_path import expect_pipeline
from export.precision import Precisions
from export.survey import survey
from orchestrator import repository
from orchestrator.repository import RepositoryError
from tests.field.raw.cases import Case, damaged, spoilt_entries, spoilt_files, values

SETTINGS: dict[str, Any] = {
    "description": "a pipeline",
    "buckets": [[64, 64], [64, 96]],
    "preview": {"factors": [[0.1, 0.2, 0.3]] * 4, "bias": [0, 0, 0]},
    "defaults": {"scheduler": "ddim", "steps": 4, "guidance_scale": 2.0, "image_scale": 1.0},
    "reward_heads": ["defects", "fidelity", "aesthetics"],
    "provenance": {"trained_on": "nothing"},
    "shares": None,
    "conventions": {"latent_mask": "area"},
}
INDEX: dict[str, Any] = {
    "_class_name": "StableDiffusionXLInpaintPipeline",
    "unet": ["diffusers", "UNet2DConditionModel"],
    "safety_checker": [None, None],
    "requires_safety_checker": False,
    "force_zeros_for_empty_prompt": True,
}
PREPARATION: dict[str, Any] = {
    "size": {"shortest_edge": 16},
    "crop_size": 16,
    "image_mean": [0, 0, 0],
    "image_std": [1, 1, 1],
}
WEIGHTS = "diffusion_pytorch_model.safetensors"


def cases(folder: Path, pipelines: Path) -> Iterator[Case]:
    """Every case, on a copy of the tiny pipelines that is spoilt while the cases are taken one by one."""
    shutil.copytree(pipelines, folder)
    tiny = folder / "tiny"
    for name, content in (("backdrop.json", SETTINGS), ("model_index.json", INDEX)):
        (tiny / name).write_text(json.dumps(content))
        for what in spoilt_files(tiny / name, 3):
            yield _case(what, tiny)
    (tiny / "backdrop.json").write_text(json.dumps(SETTINGS))
    for path in sorted(tiny.glob("*/*.json")):
        if path.name != "tokenizer.json":
            for what in spoilt_files(path):
                yield _case(f"{path.parent.name}/{what}", tiny)
    yield from _weights(tiny)
    yield from _preparation(folder)
    for text in (
        "nowhere",
        "",
        "a\0b",
        "x" * 5000,
        "tiny/unet",
        "tiny/unet/config.json",
        "tiny/backdrop.json",
        "/dev/null",
    ):
        yield Case(f"path {text[:20]!r}", partial(expect_pipeline, folder / text), (ExportError,))


def documents(file: Path) -> Iterator[Case]:
    """Every case of a repository's pipeline.json, as the orchestrator reads it when it starts."""
    content = json.loads(file.read_text())
    few = {"models": sorted(content["models"])[1:], "pipelines": sorted(content["pipelines"])[1:]}
    for owner, names in few.items():
        for name in names:
            if name != content["default"] and not _named(content, name):
                del content[owner][name]
    for name, changed in values(content, 5):
        yield Case(name, partial(repository.read, changed, file.parent), (RepositoryError,))


def files(folder: Path) -> Iterator[Case]:
    """The same file, broken as a whole."""
    folder.mkdir(parents=True)
    path = folder / "pipeline.json"
    path.write_text("{}")
    for name in spoilt_files(path):
        yield Case(name, partial(repository.load, folder), (RepositoryError,))


def _named(content: dict[str, Any], model: str) -> bool:
    return model in content["pipelines"][content["default"]]["components"].values()


def _weights(tiny: Path) -> Iterator[Case]:
    """Weights files, and indexes of shards."""
    path = tiny / "vae" / WEIGHTS
    content = path.read_bytes()
    for number, data in enumerate((b"", bytes(64), b"\xff" * 64, *damaged(content[:4000], 20))):
        path.write_bytes(data)
        yield _case(f"weights {number}", tiny)
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    key = next(key for key in header if key != "__metadata__")
    for what, changed in values({key: header[key]}, 3):
        text = json.dumps(header | changed).encode()
        path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + int.from_bytes(content[:8], "little") :])
        yield _case(f"header: {what}", tiny)
    path.write_bytes(content)
    for what in spoilt_entries(path):
        yield _case(f"weights: {what}", tiny)
    index = path.with_name(f"{WEIGHTS}.index.json")
    index.write_text(json.dumps({"metadata": {}, "weight_map": dict.fromkeys([*header][:2], "one.safetensors")}))
    (path.parent / "one.safetensors").write_bytes(content)
    for what in spoilt_files(index, 2):
        yield _case(f"index: {what}", tiny)
    index.unlink()
    path.write_bytes(content)


def _preparation(folder: Path) -> Iterator[Case]:
    """The config of CLIP's preparation of pictures, which a published IP-Adapter needs."""
    path = folder / "feature_extractor" / "preprocessor_config.json"
    path.parent.mkdir()
    path.write_text(json.dumps(PREPARATION))
    from export.preprocess import read_preprocess

    for what in spoilt_files(path, 2):
        yield Case(what, partial(read_preprocess, path.parent, {"image_size": 16}), (ExportError,))


def _case(name: str, folder: Path) -> Case:
    return Case(name, partial(_open, folder), (ExportError,))


def _open(folder: Path) -> None:
    """What `inspect` shows; its problems are refusals."""
    for sentence in survey(folder, Precisions(), "onnxruntime").problems:
        raise ExportError(sentence)

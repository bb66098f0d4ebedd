"""Holds the configs of a pipeline folder against the tables: values that are refused, and keys that nobody decided."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from export.errors import BadFolderError
from export.keys.encoders import CLIP_TEXT, CLIP_VISION, PREPROCESSOR, T5, TOKENIZERS
from export.keys.models import ASYMMETRIC_VAE, IMAGE_PROJECTOR, TRANSFORMER, UNET, VAE, Table
from export.keys.pipelines import MODEL_INDEX
from export.keys.rules import Needed
from export.layout import Source, class_named
from export.preprocess import FILE, FOLDER
from export.reading import has_file, read_json

CLASSES: Mapping[str, Table] = {
    "UNet2DConditionModel": UNET,
    "SD3Transformer2DModel": TRANSFORMER,
    "AutoencoderKL": VAE,
    "AsymmetricAutoencoderKL": ASYMMETRIC_VAE,
    "CLIPTextModel": CLIP_TEXT,
    "CLIPTextModelWithProjection": CLIP_TEXT,
    "CLIPVisionModelWithProjection": CLIP_VISION,
    "T5EncoderModel": T5,
    "ImageProjector": IMAGE_PROJECTOR,
}
"""The tables by the class that a config names. Configs of Backdrop's other classes are read by these classes whole."""
INDEX, TOKENIZER = "model_index.json", "tokenizer_config.json"

Config = tuple[str, Mapping[str, Any], Table]
"""Where it stands in the folder, its content, and its table."""


def complete(config: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A component's config with the defaults of its class, as far as the export computes with them itself.

    Raises:
        BadFolderError: if it cannot compute with a value; `where` names the config.
    """
    rules = {key: rule for key, rule in CLASSES.get(class_named(config), {}).items() if isinstance(rule, Needed)}
    content = dict(config) | {key: rule.default for key, rule in rules.items() if key not in config}
    expect_values(content, rules, where)
    return content


def expect_values(config: Mapping[str, Any], table: Table, where: str) -> None:
    """Refuses the first key whose value its rule refuses.

    Raises:
        BadFolderError: with one sentence that names the config, the key and the value.
    """
    for key, value in config.items():
        problem = table[key].problem(value) if key in table else None
        if problem is not None:
            raise BadFolderError(f"{where}: {key} is {json.dumps(value)[:60]}; {problem}.")


def expect_served(sources: Mapping[str, Source], root: Path) -> None:
    """Refuses a key whose value would change pictures that are served without it.

    Raises:
        BadFolderError: with one sentence that names the config, the key and the value.
    """
    for where, config, table in configs(sources, root):
        expect_values(config, table, where)


def undecided(sources: Mapping[str, Source], root: Path) -> list[str]:
    """The keys that no table has, a sentence for each config."""
    sentences = []
    for where, config, table in configs(sources, root):
        unknown = sorted(key for key in config if key not in table and not key.startswith("_"))
        if unknown:
            sentences.append(f"{where} has keys that are unknown here and not followed: {', '.join(unknown)}.")
    return sentences


def configs(sources: Mapping[str, Source], root: Path) -> Iterator[Config]:
    """Every config of a folder that has a table, once."""
    if has_file(root / INDEX):
        yield INDEX, read_json(root / INDEX), MODEL_INDEX
    if "image_encoder_clip" in sources and has_file(root / FOLDER / FILE):
        yield f"{FOLDER}/{FILE}", read_json(root / FOLDER / FILE), PREPROCESSOR
    folders: dict[Path, Config] = {}
    for source in sources.values():
        if (table := CLASSES.get(class_named(source.config))) is not None:
            folders[source.folder] = (f"{source.kind.folder}/config.json", source.config, table)
        if source.tokenizer is not None and has_file(source.tokenizer / TOKENIZER):
            config = read_json(source.tokenizer / TOKENIZER)
            folders[source.tokenizer] = (f"{source.tokenizer.name}/{TOKENIZER}", config, TOKENIZERS)
    yield from folders.values()

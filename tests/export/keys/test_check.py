"""Keys of configs: every one of the installed libraries is decided; refused values and unknown keys are named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from export.errors import BadFolderError
from export.keys.check import CLASSES, complete
from export.keys.rules import Needed
from export.layout import class_named
from export.precision import Precisions
from export.source import open_folder
from export.survey import survey
from tests.export.keys import signatures


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.fixture
def folder(tiny_pipeline: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_pipeline, tmp_path / "tiny"))


def test_every_key_of_the_installed_classes_is_decided() -> None:
    missing, count = signatures.undecided()
    assert missing == []
    assert count > 500


@pytest.mark.parametrize(
    ("config", "key", "value"),
    [
        ("unet/config.json", "num_class_embeds", 10),
        ("unet/config.json", "dual_cross_attention", True),
        ("unet/config.json", "attention_type", "gated"),
        ("text_encoder/config.json", "is_decoder", True),
        ("tokenizer/tokenizer_config.json", "padding_side", "left"),
    ],
)
def test_a_value_that_is_not_served_is_refused(folder: Path, config: str, key: str, value: Any) -> None:
    edit(folder / config, **{key: value})
    with pytest.raises(BadFolderError, match=f"{config}: {key} is "):
        open_folder(folder)


def test_a_key_that_nobody_decided_is_named_by_inspect(folder: Path) -> None:
    for config in ("unet/config.json", "text_encoder_2/config.json", "tokenizer/tokenizer_config.json"):
        edit(folder / config, an_option_of_tomorrow=1, another=2)
    notes = survey(folder, Precisions(), "onnxruntime").notes
    assert sum("not followed: an_option_of_tomorrow, another." in note for note in notes) == 3


def test_inspect_has_nothing_to_say_of_the_keys_of_a_usual_folder(folder: Path) -> None:
    assert not [note for note in survey(folder, Precisions(), "onnxruntime").notes if "unknown" in note]


def test_defaults_are_those_of_the_libraries_classes() -> None:
    for name, table in CLASSES.items():
        needed = {key: rule.default for key, rule in table.items() if isinstance(rule, Needed)}
        assert needed == {key: signatures.default_of(name, key) for key in needed}, name


@pytest.mark.parametrize(
    ("config", "key"), [("vae", "scaling_factor"), ("vae", "latent_channels"), ("text_encoder", "eos_token_id")]
)
def test_a_config_without_a_key_has_the_default_of_its_class(folder: Path, config: str, key: str) -> None:
    """Folders of 2022 have no scaling_factor, which came later with this default."""
    path = folder / config / "config.json"
    content = json.loads(path.read_text())
    del content[key]
    path.write_text(json.dumps(content))
    name = class_named(content)
    assert complete(content, "config.json")[key] == signatures.default_of(name, key)


@pytest.mark.parametrize(
    ("config", "key", "value"),
    [
        ("vae/config.json", "scaling_factor", None),
        ("vae/config.json", "latent_channels", "4"),
        ("unet/config.json", "in_channels", True),
        ("unet/config.json", "sample_size", [64]),
        ("text_encoder/config.json", "hidden_size", []),
        ("image_projector/config.json", "tokens", 0),
        ("text_encoder_2/config.json", "max_position_embeddings", 10**400),
    ],
)
def test_a_value_that_the_export_cannot_compute_with_is_refused(
    folder: Path, config: str, key: str, value: Any
) -> None:
    edit(folder / config, **{key: value})
    with pytest.raises(BadFolderError, match=f"^{config}: {key} is .*; it must be "):
        open_folder(folder)


def test_a_picture_size_of_two_sides_is_followed(folder: Path) -> None:
    edit(folder / "unet" / "config.json", sample_size=[8, 12])
    (folder / "backdrop.json").unlink()
    assert open_folder(folder).settings["buckets"] == [[64, 96]]

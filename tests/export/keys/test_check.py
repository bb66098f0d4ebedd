"""Keys of configs: every one of the installed libraries is decided; refused values and unknown keys are named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from export.errors import BadFolderError
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

"""Conventions in pipeline.json: what is missing has its default, what is unknown is refused."""

from __future__ import annotations

import json

import pytest

from orchestrator.repository.conventions import (
    ClipPicture,
    Conventions,
    EmptyNegative,
    HoleColours,
    LatentMask,
    UnconditionalImage,
)
from tests.conftest import ROOT


def test_missing_keys_have_the_defaults() -> None:
    assert Conventions.from_json({}) == Conventions()
    assert Conventions.from_json({"latent_mask": "nearest"}) == Conventions(latent_mask=LatentMask.NEAREST)


def test_every_key_is_read() -> None:
    value = {
        "latent_mask": "nearest",
        "empty_negative": "zeros",
        "unconditional_image": "zeros",
        "hole_colours": "decoded",
        "image_preprocess": {"resize": 256, "crop": 224},
    }
    assert Conventions.from_json(value) == Conventions(
        LatentMask.NEAREST,
        EmptyNegative.ZEROS,
        UnconditionalImage.ZEROS,
        HoleColours.DECODED,
        ClipPicture(256, 224),
    )


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"latent_masks": "area"}, "conventions.latent_masks is not known"),
        ({"latent_mask": "bilinear"}, "conventions.latent_mask must be one of area, nearest, got 'bilinear'"),
        ({"empty_negative": None}, "conventions.empty_negative must be one of encode, zeros, got None"),
        ({"image_preprocess": "clip"}, "conventions.image_preprocess must be an object"),
        ({"image_preprocess": {"crop": 224}}, "conventions.image_preprocess must be an object of resize and crop"),
        ({"image_preprocess": {"resize": 0, "crop": 224}}, "image_preprocess.resize must be a positive integer"),
        ({"image_preprocess": {"resize": 224, "crop": 225}}, "crop 225 is larger than resize 224"),
    ],
)
def test_what_is_unknown_is_refused_by_name(value: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Conventions.from_json(value)


def test_the_shipped_pipelines_have_the_conventions_that_they_were_trained_with() -> None:
    pipelines = json.loads((ROOT / "triton_repo" / "pipeline.json").read_text())["pipelines"]
    assert len(pipelines) == 3
    for pipeline in pipelines.values():
        assert Conventions.from_json(pipeline["conventions"]) == Conventions()

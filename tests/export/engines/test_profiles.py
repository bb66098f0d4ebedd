"""Shapes that engines are built for: from buckets, prompts and the batch cap."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from export.contract import Axis, Contract, TensorSpec
from export.engines.profiles import profiles_of, shape_key
from export.plan import RepositoryPlan, plan_repository
from export.source import open_folder
from tests.export.tiny import BUCKETS, T5_TOKENS, TOKENS

LATENTS = (Axis("height", 4), Axis("width", 4))
DENOISER = Contract(
    (
        TensorSpec("sample", "FP32", (4, *LATENTS)),
        TensorSpec("timestep", "FP32", (1,)),
        TensorSpec("encoder_hidden_states", "FP32", (Axis("tokens", high=308), 64)),
    ),
    (TensorSpec("noise_pred", "FP32", (4, *LATENTS)),),
)
TEXT = Contract((TensorSpec("input_ids", "INT64", (Axis("tokens"),)),), (), max_batch_size=16)
IMAGE = Contract((TensorSpec("image", "FP32", (3, Axis("height", 32), Axis("width", 32))),), ())


@pytest.fixture(scope="module")
def plan(tiny_pipelines: Path) -> RepositoryPlan:
    """The tiny pipelines."""
    return plan_repository([open_folder(tiny_pipelines / name) for name in ("tiny", "tiny-dit")])


def test_a_denoiser_has_a_profile_to_a_bucket(plan: RepositoryPlan) -> None:
    square, wide = profiles_of(plan.models["denoiser"], DENOISER)
    assert BUCKETS == [[64, 64], [64, 96]]
    assert square["sample"] == {"min": [1, 4, 8, 8], "opt": [8, 4, 8, 8], "max": [8, 4, 8, 8]}
    assert wide["sample"]["opt"] == [8, 4, 8, 12]
    assert wide["timestep"] == {"min": [1, 1], "opt": [8, 1], "max": [8, 1]}
    assert wide["encoder_hidden_states"]["min"] == [1, TOKENS, 64]


def test_pictures_are_counted_in_pixels(plan: RepositoryPlan) -> None:
    assert [profile["image"]["max"] for profile in profiles_of(plan.models["reward"], IMAGE)] == [
        [8, 3, 64, 64],
        [8, 3, 64, 96],
    ]


def test_text_has_one_profile_at_its_own_length(plan: RepositoryPlan) -> None:
    (clip,) = profiles_of(plan.models["text_encoder_g"], TEXT)
    assert clip["input_ids"] == {"min": [1, TOKENS], "opt": [16, TOKENS], "max": [16, TOKENS]}
    (t5,) = profiles_of(plan.models["text_encoder_t5"], TEXT)
    assert t5["input_ids"]["max"] == [16, T5_TOKENS]
    (long, _) = profiles_of(plan.models["denoiser_dit"], DENOISER)
    assert long["encoder_hidden_states"]["max"] == [8, T5_TOKENS, 64]


def test_a_path_tells_profiles_apart(plan: RepositoryPlan) -> None:
    every_profile = profiles_of(plan.models["denoiser"], DENOISER)
    assert shape_key(every_profile).startswith("b8-")
    assert shape_key(every_profile) == shape_key(json.loads(json.dumps(every_profile)))
    assert shape_key(every_profile) != shape_key(every_profile[:1])

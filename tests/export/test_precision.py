"""Precisions: one for all models, others by name; what cannot be exported is refused."""

from __future__ import annotations

import pytest

from export.errors import ExportError
from export.precision import Precisions, lowest, parse_precisions


def test_one_for_all_and_others_by_name() -> None:
    precisions = parse_precisions(["vae_decoder=fp32", "fp16", "denoiser=bf16"])
    assert [precisions.of(name) for name in ("denoiser", "vae_decoder", "reward")] == ["bf16", "fp32", "fp16"]
    assert parse_precisions([]) == Precisions()
    assert Precisions().of("denoiser") == "fp32"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fp12", "'fp12' is not one of fp32, fp16, bf16, fp8"),
        ("denoiser=", "'denoiser=' is not one of"),
    ],
)
def test_other_precisions_are_refused(text: str, message: str) -> None:
    with pytest.raises(ExportError, match=message):
        parse_precisions([text])


def test_a_model_that_is_not_there_has_no_precision() -> None:
    with pytest.raises(ExportError, match="--precision names the model 'unet'; there are denoiser, reward"):
        parse_precisions(["unet=fp16"]).expect(["denoiser", "reward"])


def test_fp8_is_calibrated_and_the_lowest() -> None:
    assert parse_precisions(["denoiser=fp8"]).calibrated
    assert not parse_precisions(["bf16"]).calibrated
    assert lowest(["fp32", "fp8", "fp16"]) == "fp8"
    assert lowest(["fp16", "fp32"]) == "fp16"

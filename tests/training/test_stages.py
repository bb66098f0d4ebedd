"""The text encoders train and give the inputs of the denoiser; a finished stage does not train again."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import torch

from tests.training.conftest import TinyTraining
from training.encoders import text_encoders, tokenizer
from training.judges import segmenter


def test_text_encoders_train_and_read_as_sdxl(training: TinyTraining) -> None:
    tiny = training.trained(text_encoders)
    towers = text_encoders.load(tiny)
    ids = tokenizer.token_ids(tokenizer.load(tiny), ["a beach", ""], tiny.text.max_length)
    states, pooled = text_encoders.encode(towers, ids)
    assert states.shape == (2, 77, tiny.text.cross_attention_dim)
    assert pooled.shape == (2, tiny.text.projection)
    assert torch.isfinite(states).all()
    assert torch.isfinite(pooled).all()


def test_a_finished_stage_does_not_train_again(training: TinyTraining, tmp_path: Path) -> None:
    tiny = training.trained(segmenter)
    before = segmenter.load(tiny).state_dict()
    # A copy, because other tests read the original.
    again = replace(tiny, paths=replace(tiny.paths, work=tmp_path))
    shutil.copytree(tiny.paths.work / segmenter.STAGE, tmp_path / segmenter.STAGE)
    (tmp_path / "shards").symlink_to(tiny.paths.work / "shards")
    segmenter.train(again)
    assert all(torch.equal(value, before[name]) for name, value in segmenter.load(again).state_dict().items())

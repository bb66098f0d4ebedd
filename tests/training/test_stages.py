"""The text encoders train and give the inputs of the denoiser; a finished stage does not train again."""

from __future__ import annotations

import torch

from training.config import Config
from training.encoders import text_encoders, tokenizer
from training.judges import segmenter


def test_text_encoders_train_and_read_as_sdxl(tiny: Config) -> None:
    text_encoders.train(tiny)
    towers = text_encoders.load(tiny)
    ids = tokenizer.token_ids(tokenizer.load(tiny), ["a beach", ""], tiny.text.max_length)
    states, pooled = text_encoders.encode(towers, ids)
    assert states.shape == (2, 77, tiny.text.cross_attention_dim)
    assert pooled.shape == (2, tiny.text.projection)
    assert torch.isfinite(states).all()
    assert torch.isfinite(pooled).all()


def test_a_finished_stage_does_not_train_again(tiny: Config) -> None:
    segmenter.train(tiny)
    before = segmenter.load(tiny).state_dict()
    segmenter.train(tiny)
    assert all(torch.equal(value, before[name]) for name, value in segmenter.load(tiny).state_dict().items())

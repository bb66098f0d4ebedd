"""The T5 encoder trains on captions alone and reads 128 tokens without a mask."""

from __future__ import annotations

import torch

from tests.training.conftest import TinyTraining
from training.config import Config
from training.encoders import t5, text_encoders, tokenizer


def test_it_trains_and_reads(training: TinyTraining) -> None:
    tiny = training.trained(text_encoders, t5)
    model = t5.load(tiny)
    ids = tokenizer.token_ids(tokenizer.load(tiny), ["a beach", "a beach at night, " * 40], tiny.t5.max_length)
    assert ids.shape == (2, tiny.t5.max_length)
    states = t5.encode(model, ids)
    assert states.shape == (2, tiny.t5.max_length, tiny.t5.d_model)
    assert torch.isfinite(states).all()
    assert not states.requires_grad


def test_the_mean_leaves_the_padding_out(tiny: Config) -> None:
    trainee = t5.Trainee(tiny).eval()
    end = tiny.text.vocab_size - 1
    trainee.encoder = _Positions()
    pooled = trainee.pooled(torch.tensor([[5, 6, end, end], [5, end, end, end]]))
    assert pooled[:, 0].tolist() == [1.0, 0.5]


class _Positions(torch.nn.Module):
    """An encoder whose states are their positions."""

    def forward(self, input_ids: torch.Tensor) -> object:
        class Out:
            last_hidden_state = torch.arange(input_ids.shape[1]).float().expand(len(input_ids), -1)[..., None]

        return Out()

"""Trains the small T5 encoder on captions alone: it learns to name what they say, and to agree with the CLIP encoder.

T5 itself learnt from filling gaps in a web of text (Raffel et al. 2020). Of a few thousand sentences about ten places
that teaches little; naming what a sentence says makes states that a denoiser can read after minutes of training.
"""

from __future__ import annotations

import json
import logging

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPTokenizer, T5EncoderModel

from training.config import HELD_OUT_SEED, Config
from training.core import loop, networks
from training.encoders import text_encoders, tokenizer
from training.encoders.text_encoders import LABELS
from training.world.captions import full_caption, says
from training.world.labels import Spec, draw_spec

log = logging.getLogger(__name__)

STAGE = "t5"
SHORT = 32
"""Most captions fit in so many tokens; such steps cost a quarter of a whole one."""


class Trainee(nn.Module):
    """The encoder with the heads that are thrown away, so that one checkpoint holds them all."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.encoder = networks.t5_encoder(config)
        # T5 starts with embeddings of unit size, which take far more steps to learn than there are here.
        self.encoder.shared.weight.data.mul_(0.2)
        self.naming = text_encoders.Heads(config.t5.d_model)
        self.agree = nn.Linear(config.t5.d_model, config.text.projection)
        self.end = config.text.vocab_size - 1

    def pooled(self, ids: Tensor) -> Tensor:
        """Mean [B, D] over the states of the words and of the first end token; the padding behind is not read."""
        states = self.encoder(input_ids=ids).last_hidden_state
        # No attention mask on the way, as SD3 has it: the padding is seen, and only left out of the mean.
        ended = (ids == self.end).cumsum(1)
        words = (ended <= 1).to(states.dtype)[..., None]
        return torch.as_tensor((states * words).sum(1) / words.sum(1))

    def forward(self, ids: Tensor, labels: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """The naming loss, and how far the pooled states are from CLIP's embedding `target` [B, P] (1 - cosine)."""
        pooled = self.pooled(ids)
        near = functional.cosine_similarity(self.agree(pooled).float(), target.float(), dim=1)
        return self.naming(pooled, labels), 1 - near.mean()


def sentences(specs: list[Spec], rng: np.random.Generator, strangers: list[str], long: bool) -> list[str]:
    """A fresh caption of every spec; where `long`, strung together with another and a row of unknown words."""
    texts = [text_encoders.caption_for(spec, rng, strangers) for spec in specs]
    if not long:
        return texts
    return [
        f"{text}, {full_caption(spec, rng)}, {' '.join(rng.choice(strangers, int(rng.integers(0, 24))))}"
        if rng.random() < 0.4
        else text
        for spec, text in zip(specs, texts, strict=True)
    ]


def train(config: Config) -> T5EncoderModel:
    """Trains the encoder and records how well held-out captions are named from its states."""
    torch.manual_seed(config.seed)
    device, c = loop.device(), config.t5
    towers, tok = text_encoders.load(config).to(device), tokenizer.load(config)
    strangers = text_encoders.stranger_words()
    model = Trainee(config).to(device)
    if device.type == "cpu" and hasattr(model.encoder, "set_attn_implementation"):
        model.encoder.set_attn_implementation("eager")
    optimiser = torch.optim.AdamW(model.parameters(), lr=c.learning_rate, weight_decay=0.01, betas=(0.9, 0.98))
    average = loop.Average(model, 0.998)
    run = loop.Run(config, STAGE, model=model, optimiser=optimiser, average=average)
    run.resume()
    model.train()

    def body(step: int) -> dict[str, float]:
        # Every third step reads all 128 tokens, as serving does; the last fifth of the steps read nothing else.
        rng, long = loop.generator(config, STAGE, step), step % 3 == 2 or step > 0.8 * c.steps
        specs = [draw_spec(int(seed)) for seed in rng.integers(HELD_OUT_SEED, size=c.batch // (3 if long else 1))]
        texts = sentences(specs, rng, strangers, long)
        labels = torch.tensor([text_encoders.label_ids(spec) for spec in specs]).to(device)
        with loop.half_precision():
            with torch.no_grad():
                read = text_encoders.tokens(tok, texts, config.text.max_length if long else SHORT).to(device)
                _, target = text_encoders.encode(towers, read)
            ids = text_encoders.tokens(tok, texts, c.max_length if long else SHORT).to(device)
            naming, apart = model(ids, labels, target)
        optimiser.param_groups[0]["lr"] = loop.learning_rate(step, c.steps, c.learning_rate)
        optimiser.zero_grad()
        (naming + apart).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        average.update(model)
        return {"naming": float(naming.detach()), "apart": float(apart.detach())}

    run.loop(c.steps, body)
    model.load_state_dict(average.weights)
    model.cpu().eval()
    scores = held_out(config, model, tok)
    (run.folder / "scores.json").write_text(json.dumps(scores, indent=2) + "\n")
    log.info("held-out captions named rightly: %s", scores)
    return model.encoder


@torch.no_grad()
def held_out(config: Config, model: Trainee, tok: CLIPTokenizer, count: int = 256) -> dict[str, float]:
    """Share of held-out captions named rightly from 128 tokens, by label, for what every full caption says.

    Scene, product and colour are said in every caption. Time, weather, palette and accent are said in some: those
    figures are bounded by how often they are.
    """
    rng = np.random.default_rng(99)
    specs = [draw_spec(HELD_OUT_SEED + 3_000_000 + n) for n in range(count)]
    texts = [full_caption(spec, rng) for spec in specs]
    labels = torch.tensor([text_encoders.label_ids(spec) for spec in specs])
    ids = text_encoders.tokens(tok, texts, config.t5.max_length)
    pooled = torch.cat([model.pooled(part) for part in torch.split(ids, 64)])
    seen = [says(spec) for spec in specs]
    scores = {}
    for n, (key, head) in enumerate(zip(LABELS, model.naming.heads, strict=True)):
        counted = torch.tensor([facets.get(key, True) for facets in seen])
        scores[key] = float((head(pooled).argmax(1) == labels[:, n])[counted].float().mean())
    return scores


def tokens(tok: CLIPTokenizer, texts: list[str], length: int = 128) -> Tensor:
    """Token ids [B, length], padded with the end token."""
    return text_encoders.tokens(tok, texts, length)


@torch.no_grad()
def encode(encoder: T5EncoderModel, ids: Tensor) -> Tensor:
    """What the transformer denoiser reads: the last states [B, T, D] of ids [B, T], without a mask."""
    return torch.as_tensor(encoder(input_ids=ids).last_hidden_state)


def load(config: Config) -> T5EncoderModel:
    """The trained encoder, as far as it has got."""
    return loop.load_average(config, STAGE, Trainee(config)).encoder


if __name__ == "__main__":
    loop.run_stage(__doc__, train)

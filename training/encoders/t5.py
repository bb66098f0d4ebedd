"""Trains the small T5 encoder on captions: it classifies what they say and approximates the CLIP text embedding.

T5 was trained to fill gaps in web text (Raffel et al. 2020). A few thousand sentences about ten places are too few for
that task. Classifying what a sentence says gives states that a denoiser can use after minutes of training.
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
from training.data import captions
from training.encoders import text_encoders, tokenizer
from training.world.captions import full_caption, says
from training.world.labels import Spec, draw_spec

log = logging.getLogger(__name__)

STAGE = "t5"
SHORT = 32
"""Most captions fit in 32 tokens; such a step costs a quarter of a step with 128."""


class Trainee(nn.Module):
    """The encoder with its training heads in one module, for one checkpoint; the heads are not published."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.encoder = networks.t5_encoder(config)
        # T5's initial embeddings have unit variance, which would need far more steps than this training has.
        self.encoder.shared.weight.data.mul_(0.2)
        self.naming = text_encoders.LabelHeads(config.t5.d_model)
        self.agree = nn.Linear(config.t5.d_model, config.text.projection)
        self.end = config.text.vocab_size - 1

    def pooled(self, ids: Tensor) -> Tensor:
        """Mean [B, D] of the states of the words and of the first end token, without the padding."""
        states = self.encoder(input_ids=ids).last_hidden_state
        # No attention mask, as in SD3: the encoder sees the padding, and only the mean leaves it out.
        ended = (ids == self.end).cumsum(1)
        words = (ended <= 1).to(states.dtype)[..., None]
        return torch.as_tensor((states * words).sum(1) / words.sum(1))

    def forward(self, ids: Tensor, labels: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """The classification loss, and 1 - cosine between the pooled states and CLIP's embedding `target` [B, P]."""
        pooled = self.pooled(ids)
        near = functional.cosine_similarity(self.agree(pooled).float(), target.float(), dim=1)
        return self.naming(pooled, labels), 1 - near.mean()


def sentences(specs: list[Spec], rng: np.random.Generator, unknown: list[str], long: bool) -> list[str]:
    """A fresh caption of every spec; if `long`, 40 % are joined with a second one and up to 23 unknown words."""
    texts = [captions.training_caption(spec, rng, unknown) for spec in specs]
    if not long:
        return texts
    return [
        f"{text}, {full_caption(spec, rng)}, {' '.join(rng.choice(unknown, int(rng.integers(0, 24))))}"
        if rng.random() < 0.4
        else text
        for spec, text in zip(specs, texts, strict=True)
    ]


def train(config: Config) -> T5EncoderModel:
    """Trains the encoder and writes its accuracy on held-out captions."""
    torch.manual_seed(config.seed)
    device, c = loop.device(), config.t5
    towers, tok = text_encoders.load(config).to(device), tokenizer.load(config)
    unknown = captions.unknown_words()
    model = Trainee(config).to(device)
    if device.type == "cpu" and hasattr(model.encoder, "set_attn_implementation"):
        model.encoder.set_attn_implementation("eager")
    optimiser = torch.optim.AdamW(model.parameters(), lr=c.learning_rate, weight_decay=0.01, betas=(0.9, 0.98))
    average = loop.Average(model, 0.998)
    run = loop.Run(config, STAGE, model=model, optimiser=optimiser, average=average)
    run.resume()
    model.train()

    def body(step: int) -> dict[str, float]:
        # Every third step reads all 128 tokens, as serving does, and so does every step of the last fifth.
        rng, long = loop.generator(config, STAGE, step), step % 3 == 2 or step > 0.8 * c.steps
        specs = [draw_spec(int(seed)) for seed in rng.integers(HELD_OUT_SEED, size=c.batch // (3 if long else 1))]
        texts = sentences(specs, rng, unknown, long)
        labels = torch.tensor([captions.label_ids(spec) for spec in specs]).to(device)
        with loop.half_precision():
            with torch.no_grad():
                read = tokenizer.token_ids(tok, texts, config.text.max_length if long else SHORT).to(device)
                _, target = text_encoders.encode(towers, read)
            ids = tokenizer.token_ids(tok, texts, c.max_length if long else SHORT).to(device)
            naming, distance = model(ids, labels, target)
        optimiser.param_groups[0]["lr"] = run.learning_rate(c.steps, c.learning_rate)
        optimiser.zero_grad()
        (naming + distance).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        average.update(model)
        return {"naming": float(naming.detach()), "distance": float(distance.detach())}

    run.loop(c.steps, body)
    model.load_state_dict(average.weights)
    model.cpu().eval()
    scores = held_out(config, model, tok)
    (run.folder / "scores.json").write_text(json.dumps(scores, indent=2) + "\n")
    log.info("accuracy on held-out captions: %s", scores)
    return model.encoder


@torch.no_grad()
def held_out(config: Config, model: Trainee, tok: CLIPTokenizer, count: int = 256) -> dict[str, float]:
    """Accuracy on held-out captions of 128 tokens, by label.

    Every caption names scene, product and colour. Only some name time, weather, palette and accent, so the accuracy of
    those labels cannot reach 1.
    """
    rng = np.random.default_rng(99)
    specs = [draw_spec(HELD_OUT_SEED + 3_000_000 + n) for n in range(count)]
    texts = [full_caption(spec, rng) for spec in specs]
    labels = torch.tensor([captions.label_ids(spec) for spec in specs])
    ids = tokenizer.token_ids(tok, texts, config.t5.max_length)
    pooled = torch.cat([model.pooled(part) for part in torch.split(ids, 64)])
    seen = [says(spec) for spec in specs]
    scores = {}
    for n, (key, head) in enumerate(zip(captions.LABELS, model.naming.heads, strict=True)):
        counted = torch.tensor([visible.get(key, True) for visible in seen])
        scores[key] = float((head(pooled).argmax(1) == labels[:, n])[counted].float().mean())
    return scores


@torch.no_grad()
def encode(encoder: T5EncoderModel, ids: Tensor) -> Tensor:
    """The text input of the transformer denoiser: the last states [B, T, D] of ids [B, T], without a mask."""
    return torch.as_tensor(encoder(input_ids=ids).last_hidden_state)


def load(config: Config) -> T5EncoderModel:
    """The encoder of the last checkpoint."""
    return loop.load_average(config, STAGE, Trainee(config)).encoder


if __name__ == "__main__":
    loop.run_stage(__doc__, train)

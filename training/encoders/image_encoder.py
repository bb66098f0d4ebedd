"""Trains the CLIP image encoder contrastively (Radford et al. 2021) against the trained second text encoder.

It learns from captions alone and is the baseline for UVE, which learns from labels.
"""

from __future__ import annotations

import json
import logging

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPVisionModelWithProjection

from export.networks.image_pixels import clip_pixels
from training.config import Config
from training.core import loop, networks
from training.data import captions, shards
from training.data.pictures import augment, half_size, pictures_to_tensor
from training.data.retrieval import gallery, kinds, precision
from training.encoders import text_encoders, tokenizer
from training.world.labels import SCENES

log = logging.getLogger(__name__)

STAGE = "image_encoder"
TOKENS = 40
"""Captions are short, and attention is causal, so more padding would change nothing."""


class Trainee(nn.Module):
    """The image encoder and the learnt temperature of the contrastive loss."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.tower = networks.image_encoder(config)
        if loop.device().type == "cpu":
            # On a CPU the fused attention's backward pass takes twice as long as plain matrix products.
            self.tower.set_attn_implementation("eager")
        self.scale = nn.Parameter(torch.tensor(2.6))

    def forward(self, image: Tensor, text: Tensor) -> Tensor:
        """CLIP's symmetric loss of pictures [B, 3, H, W] and their captions' embeddings [B, P]."""
        seen = self.tower(clip_pixels(image, self.tower.config.image_size)).image_embeds
        pairs = functional.normalize(seen.float(), dim=1) @ functional.normalize(text.float(), dim=1).T
        logits, own = self.scale.exp().clamp(max=100) * pairs, torch.arange(len(text), device=text.device)
        return (functional.cross_entropy(logits, own) + functional.cross_entropy(logits.T, own)) / 2


def train(config: Config) -> CLIPVisionModelWithProjection:
    """Trains the image encoder and writes its held-out scores."""
    torch.manual_seed(config.seed)
    device, c = loop.device(), config.image_encoder
    towers, tok = text_encoders.load(config).to(device), tokenizer.load(config)
    unknown = captions.unknown_words()
    model = Trainee(config).to(device)
    optimiser = torch.optim.AdamW(model.parameters(), lr=c.learning_rate, weight_decay=0.05, betas=(0.9, 0.98))
    average = loop.Average(model.tower, 0.998)
    run = loop.Run(config, STAGE, model=model, optimiser=optimiser, average=average)
    pictures = shards.load(config, "scene")
    pixels = half_size(pictures) if run.resume() < c.steps else None
    specs = [shards.spec_of(row) for row in pictures.rows]
    model.train()

    def body(step: int) -> dict[str, float]:
        assert pixels is not None
        rng = loop.generator(config, STAGE, step)
        pick = rng.integers(len(specs), size=c.batch)
        texts = [captions.training_caption(specs[i], rng, unknown) for i in pick]
        image = augment(pictures_to_tensor(pixels[pick]), rng).to(device)
        with loop.half_precision():
            with torch.no_grad():
                _, text = text_encoders.encode(towers, tokenizer.token_ids(tok, texts, TOKENS).to(device))
            loss = model(image, text)
        optimiser.param_groups[0]["lr"] = run.learning_rate(c.steps, c.learning_rate)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        average.update(model.tower)
        return {"contrast": loss.item()}

    run.loop(c.steps, body)
    model.tower.load_state_dict(average.weights)
    tower, towers = model.tower.cpu().eval(), towers.cpu()
    scores = held_out(tower, shards.load(config, "held"), gallery(config))
    words = tokenizer.token_ids(tok, [f"a {scene}" for scene in SCENES], TOKENS)
    scores["zero_shot_scene"] = zero_shot(tower, text_encoders.encode(towers, words)[1], shards.load(config, "held"))
    (run.folder / "scores.json").write_text(json.dumps(scores, indent=2) + "\n")
    log.info("held-out: %s", scores)
    return tower


@torch.no_grad()
def embed(model: CLIPVisionModelWithProjection, images: Tensor) -> Tensor:
    """Unit embeddings [B, P] of pictures [B, 3, H, W] in [-1, 1], equal to those of the served graph."""
    return functional.normalize(model(clip_pixels(images, model.config.image_size)).image_embeds, dim=1)


def embed_all(model: CLIPVisionModelWithProjection, pictures: shards.PictureSet) -> Tensor:
    """Unit embeddings [N, P] of all pictures."""
    parts = [np.arange(start, min(start + 64, len(pictures))) for start in range(0, len(pictures), 64)]
    return torch.cat([embed(model, pictures_to_tensor(pictures.at(part)[0])) for part in parts])


def held_out(
    model: CLIPVisionModelWithProjection, held: shards.PictureSet, gallery_set: shards.PictureSet, top: int = 10
) -> dict[str, float]:
    """Precision and hit at `top` for "same scene and same palette", as UVE is measured."""
    scores = precision(
        embed_all(model, held), embed_all(model, gallery_set), kinds(held.rows), kinds(gallery_set.rows), top
    )
    return {f"float_{key}_at_{top}": value for key, value in scores.items()}


def zero_shot(model: CLIPVisionModelWithProjection, texts: Tensor, held: shards.PictureSet) -> float:
    """Share of pictures whose nearest prompt is their scene's; `texts` [scenes, P] in the order of `SCENES`."""
    guesses = (embed_all(model, held) @ functional.normalize(texts, dim=1).T).argmax(1).tolist()
    return float(np.mean([SCENES[n] == row["scene"] for n, row in zip(guesses, held.rows, strict=True)]))


def load(config: Config) -> CLIPVisionModelWithProjection:
    """The image encoder of the last checkpoint."""
    return loop.load_average(config, STAGE, networks.image_encoder(config))


if __name__ == "__main__":
    loop.run_stage(__doc__, train)

"""Trains the two text encoders contrastively (Radford et al. 2021) against a small image tower, which is not published.

Linear heads classify what a caption says (scene, time, colour and so on). They are not published either. They make
the hidden states useful for the denoiser after a few minutes of training.
"""

from __future__ import annotations

import itertools

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from training.config import Config
from training.core import loop, networks
from training.data import captions, shards
from training.data.pictures import pictures_to_tensor
from training.encoders import tokenizer
from training.world.captions import full_caption

IMAGE_SIZE = 64
STAGE = "text_encoders"


class LabelHeads(nn.Module):
    """One linear classifier per label."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(nn.Linear(width, len(names)) for names in captions.LABELS.values())

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        losses = [functional.cross_entropy(head(x), labels[:, n]) for n, head in enumerate(self.heads)]
        return torch.stack(losses).mean()


class Towers(nn.Module):
    """Both text encoders, the image tower and the heads in one module, for one checkpoint."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        text = config.text
        self.text_l = networks.text_encoder_l(config)
        self.text_g = networks.text_encoder_g(config)
        widths = (3, 24, 48, 96, 128)
        layers: list[nn.Module] = []
        for a, b in itertools.pairwise(widths):
            layers += [nn.Conv2d(a, b, 4, stride=2, padding=1), nn.GroupNorm(8, b), nn.SiLU()]
        self.image = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten())
        self.image_l = nn.Linear(4 * widths[-1], text.hidden_l)
        self.image_g = nn.Linear(4 * widths[-1], text.projection)
        self.heads = nn.ModuleDict(
            {
                "image": LabelHeads(4 * widths[-1]),
                "l": LabelHeads(text.hidden_l),
                "g": LabelHeads(text.projection),
                "penultimate": LabelHeads(text.cross_attention_dim),
            }
        )
        self.scale = nn.Parameter(torch.tensor(2.6))

    def forward(
        self, ids: torch.Tensor, pixels: torch.Tensor, labels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns the contrastive loss and the classification loss."""
        out_l = self.text_l(ids, output_hidden_states=True)
        out_g = self.text_g(ids, output_hidden_states=True)
        image = self.image(pixels)
        contrast = self._contrast(out_l.pooler_output, self.image_l(image)) + self._contrast(
            out_g.text_embeds, self.image_g(image)
        )
        end = (ids == self.text_l.config.eos_token_id).int().argmax(dim=1)
        row = torch.arange(len(ids), device=ids.device)
        penultimate = torch.cat([out_l.hidden_states[-2][row, end], out_g.hidden_states[-2][row, end]], dim=1)
        naming = (
            self.heads["image"](image, labels)
            + self.heads["l"](out_l.pooler_output, labels)
            + self.heads["g"](out_g.text_embeds, labels)
            + self.heads["penultimate"](penultimate, labels)
        )
        return contrast, naming

    def _contrast(self, text: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        logits = (
            self.scale.exp() * functional.normalize(text.float(), dim=1) @ functional.normalize(image.float(), dim=1).T
        )
        target = torch.arange(len(text), device=text.device)
        return (functional.cross_entropy(logits, target) + functional.cross_entropy(logits.T, target)) / 2


def small_pictures(data: shards.PictureSet) -> NDArray[np.uint8]:
    """All pictures at the size of the image tower: uint8 [N, 64, 64, 3]."""
    parts = []
    for shard in data.images:
        # Two pixels of every 4x4 block are enough here, and much faster than a mean.
        step = shard.shape[1] // IMAGE_SIZE
        one, two = (
            shard[:, step // 4 :: step, step // 4 :: step],
            shard[:, 3 * step // 4 :: step, 3 * step // 4 :: step],
        )
        parts.append(one // 2 + two // 2)
    return np.concatenate(parts)


def train(config: Config) -> Towers:
    """Trains both encoders; returns them with image tower and heads."""
    torch.manual_seed(config.seed)
    data, tok, unknown = shards.load(config, "scene"), tokenizer.load(config), captions.unknown_words()
    pixels = small_pictures(data)
    specs = [shards.spec_of(row) for row in data.rows]
    labels = torch.tensor([captions.label_ids(spec) for spec in specs])
    model = Towers(config).to(loop.device())
    for encoder in (model.text_l, model.text_g):
        # On a CPU the fused attention's backward pass takes twice as long as plain matrix products.
        encoder.set_attn_implementation("eager")
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=config.text.learning_rate, weight_decay=0.01, betas=(0.9, 0.98)
    )
    run = loop.Run(config, STAGE, model=model, optimiser=optimiser)
    run.resume()
    model.train()

    def body(step: int) -> dict[str, float]:
        # Captions are short: most steps read 32 tokens. Every tenth step reads all 77, with joined sentences.
        rng, long = loop.generator(config, STAGE, step), step % 10 == 9
        pick = rng.integers(len(specs), size=config.text.batch // (3 if long else 1))
        texts = [captions.training_caption(specs[i], rng, unknown) for i in pick]
        if long:
            texts = [
                f"{text}, {full_caption(specs[i], rng)}, {' '.join(rng.choice(unknown, 12))}"
                for i, text in zip(pick, texts, strict=True)
            ]
        ids = tokenizer.token_ids(tok, texts, config.text.max_length if long else 32)
        with loop.half_precision():
            rows = (ids, pictures_to_tensor(pixels[pick]), labels[pick])
            contrast, naming = model(*(part.to(loop.device()) for part in rows))
        optimiser.param_groups[0]["lr"] = run.learning_rate(config.text.steps, config.text.learning_rate)
        optimiser.zero_grad()
        (contrast + naming).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        return {"contrast": float(contrast.detach()), "naming": float(naming.detach())}

    run.loop(config.text.steps, body)
    return model.eval()


def load(config: Config) -> Towers:
    """The encoders of the last checkpoint."""
    path = config.paths.work / STAGE / "checkpoint.pt"
    if not path.exists():
        raise FileNotFoundError("the text encoders are not trained yet: run python -m training.encoders.text_encoders")
    model = Towers(config)
    model.load_state_dict(torch.load(path, weights_only=True, map_location="cpu")["model"])
    return model.eval().requires_grad_(False)


@torch.no_grad()
def encode(towers: Towers, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The denoiser's text inputs, as in SDXL: penultimate states [B, T, D] of both, and G's projection [B, P]."""
    out_l = towers.text_l(ids, output_hidden_states=True)
    out_g = towers.text_g(ids, output_hidden_states=True)
    return torch.cat([out_l.hidden_states[-2], out_g.hidden_states[-2]], dim=-1), out_g.text_embeds


if __name__ == "__main__":
    loop.run_stage(__doc__, train)

"""The two text encoders, trained contrastively (Radford et al. 2021) against a small throw-away image tower.

Linear heads that name what a caption says (scene, time, colour, ...) are trained along and thrown away as well: they
make the hidden states that the denoiser reads easy to use after a few minutes of training.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional
from transformers import CLIPTokenizer

from training.config import Config
from training.core import loop, networks
from training.data import shards
from training.data.pictures import pictures_to_tensor
from training.data.words import WORDS
from training.encoders import tokenizer
from training.world.captions import alias_prompt, background_prompt, full_caption
from training.world.labels import ACCENTS, COLOURS, DETAILS, PALETTES, PRODUCTS, SCENES, TIMES, WEATHERS, Spec
from training.world.phrases import (
    ACCENT_WORDS,
    ALIASES,
    DETAIL_WORDS,
    PALETTE_WORDS,
    PLACES,
    PRODUCT_WORDS,
    TIME_WORDS,
    WEATHER_WORDS,
)

LABELS: dict[str, tuple[str, ...]] = {
    "scene": SCENES,
    "time": TIMES,
    "weather": WEATHERS,
    "palette": PALETTES,
    "accent": ACCENTS,
    "detail": tuple(f"{scene}/{detail}" for scene, details in DETAILS.items() for detail in details),
    "product": PRODUCTS,
    "colour": tuple(COLOURS),
}
IMAGE_SIZE = 64
STAGE = "text_encoders"


def label_ids(spec: Spec) -> list[int]:
    """The labels of a picture as class numbers, in the order of `LABELS`."""
    values = {"detail": f"{spec.scene}/{spec.detail}"}
    return [names.index(values.get(key, getattr(spec, key))) for key, names in LABELS.items()]


class Heads(nn.Module):
    """One linear classifier to a label."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(nn.Linear(width, len(names)) for names in LABELS.values())

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        losses = [functional.cross_entropy(head(x), labels[:, n]) for n, head in enumerate(self.heads)]
        return torch.stack(losses).mean()


class Towers(nn.Module):
    """Both text encoders, the image tower and the heads, so that one checkpoint holds them all."""

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
                "image": Heads(4 * widths[-1]),
                "l": Heads(text.hidden_l),
                "g": Heads(text.projection),
                "penultimate": Heads(text.cross_attention_dim),
            }
        )
        self.scale = nn.Parameter(torch.tensor(2.6))

    def forward(
        self, ids: torch.Tensor, pixels: torch.Tensor, labels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns the contrastive loss and the naming loss."""
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


def caption_for(spec: Spec, rng: np.random.Generator, strangers: list[str]) -> str:
    """A fresh caption, now and then with words that mean nothing here: unknown words must not throw the picture off."""
    kind = (background_prompt, full_caption, alias_prompt)[int(rng.choice(3, p=(0.4, 0.35, 0.25)))]
    text = kind(spec, rng)
    if rng.random() < 0.3:
        words = text.split(" ")
        for _ in range(int(rng.integers(1, 4))):
            words.insert(int(rng.integers(len(words) + 1)), strangers[int(rng.integers(len(strangers)))])
        text = " ".join(words)
    return text


def stranger_words() -> list[str]:
    """Words of the broad list that no caption uses."""
    tables = (PLACES, ALIASES, TIME_WORDS, WEATHER_WORDS, PALETTE_WORDS, ACCENT_WORDS, DETAIL_WORDS, PRODUCT_WORDS)
    phrases = [phrase for table in tables for options in table.values() for phrase in options]
    known = {word for phrase in [*phrases, *COLOURS] for word in phrase.replace(",", " ").split()}
    return [word for word in WORDS if word not in known]


def tokens(tok: CLIPTokenizer, texts: list[str], length: int) -> torch.Tensor:
    """Token ids [B, length], padded with the end token."""
    return torch.tensor(tok(texts, padding="max_length", truncation=True, max_length=length).input_ids)


def spec_of(row: dict[str, Any]) -> Spec:
    """The spec of a shard's row."""
    return Spec(**{key: row[key] for key in Spec.__dataclass_fields__})


def small_pictures(data: shards.PictureSet) -> NDArray[np.uint8]:
    """All pictures, shrunk for the image tower: uint8 [N, 64, 64, 3]."""
    parts = []
    for shard in data.images:
        # Two samples of every 4x4 block are enough here, and much faster than a mean.
        step = shard.shape[1] // IMAGE_SIZE
        one, two = (
            shard[:, step // 4 :: step, step // 4 :: step],
            shard[:, 3 * step // 4 :: step, 3 * step // 4 :: step],
        )
        parts.append(one // 2 + two // 2)
    return np.concatenate(parts)


def train(config: Config) -> Towers:
    """Trains both encoders; returns them with their helpers."""
    torch.manual_seed(config.seed)
    data, tok, strangers = shards.load(config, "scene"), tokenizer.load(config), stranger_words()
    pixels = small_pictures(data)
    specs = [spec_of(row) for row in data.rows]
    labels = torch.tensor([label_ids(spec) for spec in specs])
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
        # Captions are short: most steps read 32 tokens, every tenth all 77, with sentences strung together.
        rng, long = loop.generator(config, STAGE, step), step % 10 == 9
        pick = rng.integers(len(specs), size=config.text.batch // (3 if long else 1))
        texts = [caption_for(specs[i], rng, strangers) for i in pick]
        if long:
            texts = [
                f"{text}, {full_caption(specs[i], rng)}, {' '.join(rng.choice(strangers, 12))}"
                for i, text in zip(pick, texts, strict=True)
            ]
        ids = tokens(tok, texts, config.text.max_length if long else 32)
        with loop.half_precision():
            rows = (ids, pictures_to_tensor(pixels[pick]), labels[pick])
            contrast, naming = model(*(part.to(loop.device()) for part in rows))
        optimiser.param_groups[0]["lr"] = loop.learning_rate(step, config.text.steps, config.text.learning_rate)
        optimiser.zero_grad()
        (contrast + naming).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        return {"contrast": float(contrast.detach()), "naming": float(naming.detach())}

    run.loop(config.text.steps, body)
    return model.eval()


def load(config: Config) -> Towers:
    """The trained encoders, as far as they have got."""
    path = config.paths.work / STAGE / "checkpoint.pt"
    if not path.exists():
        raise FileNotFoundError("the text encoders are not trained yet: run python -m training.encoders.text_encoders")
    model = Towers(config)
    model.load_state_dict(torch.load(path, weights_only=True, map_location="cpu")["model"])
    return model.eval().requires_grad_(False)


@torch.no_grad()
def encode(towers: Towers, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What the denoiser reads, as SDXL has it: penultimate states [B, T, D] of both, and G's projection [B, P]."""
    out_l = towers.text_l(ids, output_hidden_states=True)
    out_g = towers.text_g(ids, output_hidden_states=True)
    return torch.cat([out_l.hidden_states[-2], out_g.hidden_states[-2]], dim=-1), out_g.text_embeds


if __name__ == "__main__":
    loop.run_stage(__doc__, train)

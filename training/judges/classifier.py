"""Trains a classifier on rendered pictures; evaluation judges generated pictures with it.

It classifies scene, palette, time, weather and product. It is not served and shares no weights with served models.
"""

from __future__ import annotations

import json
import logging

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from training.config import Config
from training.core import loop
from training.data import shards
from training.data.attributes import ATTRIBUTES, accuracies, attribute_ids, naming_loss
from training.data.pictures import augment, half_size, pictures_to_tensor
from training.judges.trunk import Trunk, read_weights, write_weights

log = logging.getLogger(__name__)

STAGE = "classifier"
WEIGHTS = (1.0, 1.0, 1.0, 0.7, 0.5)
"""Weights of the attributes in the loss; the product matters least."""


class Classifier(Trunk):
    """A small convolutional network on pictures of half size, so that it judges places, not fine detail."""

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__(channels)
        self.body = nn.Sequential(nn.Linear(6 * channels[-1], 128), nn.SiLU(), nn.Dropout(0.1))
        self.heads = nn.ModuleList(nn.Linear(128, len(names)) for names in ATTRIBUTES.values())

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Logits [B, classes] by attribute, of pictures [B, 3, H, W] in [-1, 1]."""
        return dict(zip(ATTRIBUTES, self.judge(functional.avg_pool2d(image, 2)), strict=True))

    def judge(self, small: Tensor) -> list[Tensor]:
        """Logits [B, classes] in the order of `ATTRIBUTES`, of pictures at half size."""
        x = self.features(small)
        # Position tells sky from ground: pool over four horizontal bands and over the whole picture.
        bands = functional.adaptive_avg_pool2d(x, (4, 1)).flatten(1)
        whole = self.body(torch.cat([bands, x.mean(dim=(2, 3)), x.amax(dim=(2, 3))], dim=1))
        return [head(whole) for head in self.heads]


def train(config: Config) -> Classifier:
    """Trains, and writes fp16 weights and the held-out accuracy of every head."""
    torch.manual_seed(config.seed)
    device, small = loop.device(), config.small
    model = Classifier(small.classifier_channels)
    model.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(model.parameters(), lr=small.learning_rate, weight_decay=0.02)
    average = loop.Average(model, 0.998)
    run = loop.Run(config, STAGE, model=model, optimiser=optimiser, average=average)
    pictures = shards.load(config, "scene")
    pixels, ids = half_size(pictures) if run.resume() < small.classifier_steps else None, attribute_ids(pictures.rows)
    model.train()

    def body(step: int) -> dict[str, float]:
        assert pixels is not None
        rng = loop.generator(config, STAGE, step)
        pick = rng.integers(len(ids), size=small.classifier_batch)
        image = augment(pictures_to_tensor(pixels[pick]), rng).to(device)
        with loop.half_precision():
            logits = model.judge(image.contiguous(memory_format=torch.channels_last))
        loss = naming_loss(logits, ids[pick].to(device), WEIGHTS)
        optimiser.param_groups[0]["lr"] = run.learning_rate(small.classifier_steps, small.learning_rate)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        average.update(model)
        return {"loss": loss.item(), **accuracies(logits, ids[pick].to(device))}

    run.loop(small.classifier_steps, body)
    model.load_state_dict(average.weights)
    model.cpu().eval()
    scores = accuracy(model, shards.load(config, "held"))
    (run.folder / "scores.json").write_text(json.dumps(scores, indent=2) + "\n")
    write(config, model, scores, run.step)
    log.info("held-out accuracy on rendered pictures: %s", scores)
    return model


def write(config: Config, model: Classifier, scores: dict[str, float], steps: int) -> None:
    """Writes the published weights and their record."""
    folder = config.paths.classifier
    write_weights(model, folder)
    record = {
        "facets": ATTRIBUTES,  # the key of the published file
        "channels": config.small.classifier_channels,
        "held_out_accuracy": scores,
        "steps": steps,
        "seed": config.seed,
    }
    (folder / "config.json").write_text(json.dumps(record, indent=2) + "\n")


@torch.no_grad()
def name(model: Classifier, images: Tensor, batch: int = 32) -> dict[str, list[str]]:
    """The most likely value of every attribute, for pictures [N, 3, H, W] in [-1, 1]."""
    names: dict[str, list[str]] = {key: [] for key in ATTRIBUTES}
    for part in torch.split(images, batch):
        for key, logits in model(part).items():
            names[key] += [ATTRIBUTES[key][n] for n in logits.argmax(1).tolist()]
    return names


@torch.no_grad()
def probability(model: Classifier, images: Tensor, attribute: str, name: str, batch: int = 32) -> Tensor:
    """The probability [N] that pictures [N, 3, H, W] show `name`, for example "teal" of the attribute "palette"."""
    column = ATTRIBUTES[attribute].index(name)
    return torch.cat([model(part)[attribute].softmax(1)[:, column] for part in torch.split(images, batch)])


@torch.no_grad()
def accuracy(model: Classifier, held: shards.PictureSet) -> dict[str, float]:
    """Accuracy on rendered pictures by attribute, over the pictures that show the attribute."""
    logits: list[list[Tensor]] = []
    for start in range(0, len(held), 64):
        images = held.at(np.arange(start, min(start + 64, len(held))))[0]
        logits.append(list(model(pictures_to_tensor(images)).values()))
    return accuracies([torch.cat(parts) for parts in zip(*logits, strict=True)], attribute_ids(held.rows))


def load(config: Config) -> Classifier:
    """The trained classifier, from its published weights."""
    folder = config.paths.classifier
    model = Classifier(tuple(json.loads((folder / "config.json").read_text())["channels"]))
    read_weights(model, folder)
    return model


if __name__ == "__main__":
    loop.run_stage(__doc__, train)

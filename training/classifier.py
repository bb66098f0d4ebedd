"""A scene classifier trained on rendered pictures only: the yardstick for generated ones, not part of the pipeline."""

from __future__ import annotations

import json
import logging

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from training import loop, shards
from training.config import Config
from training.data import pictures_to_tensor
from training.world.labels import SCENES

log = logging.getLogger(__name__)

STAGE = "classifier"


class SceneClassifier(nn.Module):
    """A small convolutional network; it sees pictures at half size, so it judges places and not brush strokes."""

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for a, b in zip((3, *channels[:-1]), channels, strict=True):
            layers += [nn.Conv2d(a, b, 3, stride=2, padding=1), nn.GroupNorm(8, b), nn.SiLU()]
        self.body = nn.Sequential(*layers)
        self.head = nn.Sequential(
            nn.Linear(5 * channels[-1], 64), nn.SiLU(), nn.Dropout(0.1), nn.Linear(64, len(SCENES))
        )

    def forward(self, image: Tensor) -> Tensor:
        """Logits [B, scenes] of pictures [B, 3, H, W] in [-1, 1]."""
        x = self.body(functional.avg_pool2d(image, 2))
        # Sky and ground are told apart by where they are: pool in four bands, and over the whole.
        bands = functional.adaptive_avg_pool2d(x, (4, 1)).flatten(1)
        return torch.as_tensor(self.head(torch.cat([bands, x.amax(dim=(2, 3))], dim=1)))


def disturb(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Mirror, crop, blur, tone and noise: generated pictures are softer than rendered ones."""
    if rng.random() < 0.5:
        image = image.flip(-1)
    side = int(rng.integers(200, 257))
    top, left = int(rng.integers(0, 257 - side)), int(rng.integers(0, 257 - side))
    image = image[..., top : top + side, left : left + side]
    small = int(rng.choice((64, 96, 128)))
    if rng.random() < 0.5:
        image = functional.interpolate(image, size=(small, small), mode="area")
    image = functional.interpolate(image, size=(256, 256), mode="bilinear")
    gain = torch.from_numpy(rng.uniform(0.8, 1.2, (len(image), 3, 1, 1)).astype(np.float32))
    return (image * gain + 0.04 * float(rng.random()) * torch.randn_like(image)).clamp(-1, 1)


def train(config: Config) -> SceneClassifier:
    """Trains, writes fp16 weights and the held-out accuracy."""
    torch.manual_seed(config.seed)
    model = SceneClassifier(config.small.classifier_channels)
    optimiser = torch.optim.AdamW(model.parameters(), lr=config.small.learning_rate, weight_decay=0.02)
    run = loop.Run(config, STAGE, model=model, optimiser=optimiser)
    run.resume()
    pictures = shards.load(config, "scene")
    target = torch.tensor([SCENES.index(row["scene"]) for row in pictures.rows])
    model.train()

    def body(step: int) -> dict[str, float]:
        rng = loop.generator(config, STAGE, step)
        pick = rng.integers(len(pictures), size=config.small.batch)
        image = disturb(pictures_to_tensor(pictures.at(pick)[0]), rng)
        with loop.half_precision():
            logits = model(image).float()
        loss = functional.cross_entropy(logits, target[pick])
        optimiser.param_groups[0]["lr"] = loop.learning_rate(
            step, config.small.classifier_steps, config.small.learning_rate, 50
        )
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        return {"loss": loss.item(), "accuracy": float((logits.argmax(1) == target[pick]).float().mean())}

    run.loop(config.small.classifier_steps, body)
    model.eval()
    correct = accuracy(model, shards.load(config, "held"))
    folder = config.paths.classifier
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: value.half().contiguous() for name, value in model.state_dict().items()}, folder / "model.safetensors"
    )
    record = {
        "scenes": SCENES,
        "channels": config.small.classifier_channels,
        "held_out_accuracy": correct,
        "steps": run.step,
        "seed": config.seed,
    }
    (folder / "config.json").write_text(json.dumps(record, indent=2) + "\n")
    log.info("held-out accuracy on rendered pictures: %.4f", correct)
    return model


@torch.no_grad()
def accuracy(model: SceneClassifier, held: shards.PictureSet) -> float:
    """Share of rendered pictures whose scene is recognised."""
    right = 0
    for start in range(0, len(held), 64):
        pick = np.arange(start, min(start + 64, len(held)))
        guess = model(pictures_to_tensor(held.at(pick)[0])).argmax(1).tolist()
        right += sum(SCENES[g] == held.rows[i]["scene"] for g, i in zip(guess, pick, strict=True))
    return right / len(held)


def load(config: Config) -> SceneClassifier:
    """The trained classifier, from its published weights."""
    folder = config.paths.classifier
    model = SceneClassifier(tuple(json.loads((folder / "config.json").read_text())["channels"]))
    model.load_state_dict({name: value.float() for name, value in load_file(folder / "model.safetensors").items()})
    return model.eval().requires_grad_(False)


if __name__ == "__main__":
    loop.run_stage(__doc__, train)

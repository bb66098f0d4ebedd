"""Trains the reward model on good pictures, on pictures with controlled damage, and on captions of other pictures.

No person judged anything here: `defects` knows the damage of `training.corruption`, `fidelity` tells matched captions
from others, and `aesthetics` is a proxy that only knows technical degradation.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from export.networks.reward import RewardModel
from training import loop, networks, shards, text_encoders, tokenizer
from training.config import REWARD_HEADS, Config
from training.corruption import DEFECTS, DEGRADATIONS, add_defect, degrade
from training.data import draw
from training.world.captions import background_prompt, full_caption

log = logging.getLogger(__name__)

STAGE = "reward"


def differs(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether another picture's background prompt would be wrong for this one."""
    indoors = one["scene"] in ("studio", "space")
    return bool(
        one["scene"] != other["scene"]
        or (one["accent"] if indoors else one["time"]) != (other["accent"] if indoors else other["time"])
    )


class Batches:
    """Pictures with the three targets of each."""

    def __init__(self, pictures: shards.PictureSet, embed: Callable[[list[str]], Tensor]) -> None:
        self.pictures, self.embed = pictures, embed

    def make(self, rng: np.random.Generator, count: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Images, masks, text embeddings, targets [B, 2] of the two looks, and which text fits which picture [B, B]."""
        image, mask, indices = draw(self.pictures, rng, count)
        target = torch.ones(count, 2)
        texts = []
        for n in range(count):
            row = self.pictures.rows[int(indices[n])]
            if rng.random() < 0.5:
                image[n : n + 1] = add_defect(
                    DEFECTS[int(rng.integers(len(DEFECTS)))], image[n : n + 1], mask[n : n + 1], rng
                )
                target[n, 0] = 0
            if rng.random() < 0.5:
                strength = float(rng.random())
                image[n : n + 1] = degrade(
                    DEGRADATIONS[int(rng.integers(len(DEGRADATIONS)))], image[n : n + 1], strength, rng
                )
                target[n, 1] = 0.55 - 0.55 * strength
            spec = text_encoders.spec_of(row)
            texts.append(background_prompt(spec, rng) if rng.random() < 0.6 else full_caption(spec, rng))
        if rng.random() < 0.5:
            image, mask = image.flip(-1), mask.flip(-1)
        rows = [self.pictures.rows[int(index)] for index in indices]
        fits = torch.tensor([[not differs(one, other) for other in rows] for one in rows]).float()
        return image, mask, self.embed(texts), target, fits


def embedder(config: Config) -> Callable[[list[str]], Tensor]:
    """The projected embedding of texts, by the trained encoders. Sentences here are short: 40 tokens do."""
    towers, tok = text_encoders.load(config), tokenizer.load(config)
    return lambda texts: text_encoders.encode(towers, text_encoders.tokens(tok, texts, 40))[1]


def train(config: Config) -> RewardModel:
    """Trains the reward model and records its held-out figures."""
    torch.manual_seed(config.seed)
    model: RewardModel = networks.reward(config).to(memory_format=torch.channels_last)
    rate, steps = config.small.learning_rate, config.small.reward_steps
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.01)
    average = loop.Average(model, 0.995)
    run = loop.Run(config, STAGE, model=model, optimiser=optimiser, average=average)
    run.resume()
    batches, held = Batches(shards.load(config, "scene"), embedder(config)), shards.load(config, "held")
    model.train()
    # Damage is the hardest to see; without a larger share the other two heads take over the shared layers.
    weights = torch.tensor([3.0, 1.0, 1.0])

    def body(step: int) -> dict[str, float]:
        image, mask, embeds, target, fits = batches.make(loop.generator(config, STAGE, step), config.small.batch)
        with loop.half_precision():
            whole, seen, sides = model.see(image.contiguous(memory_format=torch.channels_last), mask)
            looks = torch.cat([model.defects(sides), model.aesthetics(seen)], dim=1)
            # Every picture is held against every text of the batch: captions are scarce, pairs of them are not.
            count = len(whole)
            pairs = model.match(whole.repeat_interleave(count, 0), embeds.repeat(count, 1)).view(count, count)
        parts = functional.binary_cross_entropy_with_logits(looks.float(), target, reduction="none").mean(0)
        weight = fits / fits.mean() + (1 - fits) / (1 - fits).mean().clamp(min=1e-3)
        fidelity = (
            functional.binary_cross_entropy_with_logits(pairs.float(), fits, reduction="none") * weight
        ).mean() / 2
        losses = torch.stack([parts[0], fidelity, parts[1]])
        optimiser.param_groups[0]["lr"] = loop.learning_rate(step, steps, rate, 50)
        optimiser.zero_grad()
        (losses * weights).sum().backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        average.update(model)
        return {name: float(loss) for name, loss in zip(REWARD_HEADS, losses.detach(), strict=True)}

    run.loop(steps, body)
    model.load_state_dict(average.weights)
    model.eval()
    scores = held_out(model, Batches(held, batches.embed))
    (run.folder / "scores.json").write_text(json.dumps(scores, indent=2) + "\n")
    log.info("held-out pairs ranked rightly: %s", scores)
    return model


@torch.no_grad()
def held_out(model: RewardModel, batches: Batches, rounds: int | None = None) -> dict[str, float]:
    """Share of (good, bad) pairs of pictures that each head ranks rightly."""
    rng = np.random.default_rng(99)
    rounds = min(10, len(batches.pictures) // 32 + 1) if rounds is None else rounds
    result: dict[str, list[float]] = {name: [] for name in REWARD_HEADS}
    for _ in range(rounds):
        image, mask, embeds, target, fits = batches.make(rng, 32)
        own = model(image, mask, embeds)
        other = model(image, mask, embeds.roll(1, 0))
        # Only where the neighbour's text does not fit is its score the bad one of a pair.
        wrong = fits.roll(1, 1).diagonal() < 0.5
        result["fidelity"] += (own[wrong, 1] > other[wrong, 1]).float().tolist()
        for column, name in ((0, "defects"), (2, "aesthetics")):
            good, bad = own[target[:, column // 2] > 0.9, column], own[target[:, column // 2] < 0.5, column]
            result[name] += (good[:, None] > bad[None]).float().flatten().tolist()
    return {name: float(np.mean(values)) for name, values in result.items()}


def load(config: Config) -> RewardModel:
    """The trained reward model, as far as it has got."""
    model = networks.reward(config)
    loop.load_average(config, STAGE, model)
    return model


if __name__ == "__main__":
    loop.run_stage(__doc__, train)

"""Trains the reward model on good pictures, the same pictures with controlled damage, and captions of other pictures.

No person judged anything here. `defects` knows the damage of `training.data.corruption`. `fidelity` tells captions that
match a picture from captions that do not. `aesthetics` is a proxy that only knows technical degradation. Half of the
pictures have had their background encoded and decoded, as has every picture that the model scores in service.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from export.networks.reward import RewardModel
from training.config import REWARD_HEADS, Config
from training.core import loop, networks
from training.data import shards
from training.data.attributes import FACETS, naming_loss
from training.data.pairs import UNJUDGED, Batch, Pairs
from training.encoded.reconstructions import softened
from training.encoders import text_encoders, tokenizer

log = logging.getLogger(__name__)

STAGE = "reward"
OTHERS = ("found", "fidelity", "aesthetics", "naming")
TOKENS = 40
"""Sentences here are short; what is behind them would change nothing, since attention is causal."""

Embed = Callable[[list[str]], Tensor]


def embedder(config: Config) -> Embed:
    """The projected embedding of texts, by the trained encoders."""
    towers, tok = text_encoders.load(config), tokenizer.load(config)
    return lambda texts: text_encoders.encode(towers, text_encoders.tokens(tok, texts, TOKENS))[1]


class Trainee(nn.Module):
    """The reward model with heads that name what a picture shows, and are thrown away: fidelity learns faster."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.model = networks.reward(config)
        self.naming = nn.ModuleList(nn.Linear(128, len(names)) for names in FACETS.values())

    def forward(self, batch: Batch, text: Tensor) -> dict[str, Tensor]:
        """The loss of every head, and of the naming."""
        seen = self.model.see(batch.image, batch.mask)
        intact = self.model.defects(seen.places)[:, 0].float()
        judged = (batch.intact != UNJUDGED).float()
        entropy = functional.binary_cross_entropy_with_logits(intact, batch.intact.clamp(min=0), reduction="none")
        defects = (entropy * judged).sum() / judged.sum().clamp(min=1)
        # The pair differs in nothing but the damage: their order says most about it.
        good, bad = intact.chunk(2)
        both = judged.view(2, -1).amin(0)
        order = (functional.softplus(bad - good) * both).sum() / both.sum().clamp(min=1)
        # Told where the damage lies, the votes learn from every block of a picture, and not from its worst alone.
        votes = self.model.defects.vote(seen.places).float()
        known = (batch.places != UNJUDGED).float()
        each = functional.binary_cross_entropy_with_logits(
            votes, batch.places.clamp(min=0), reduction="none", pos_weight=votes.new_tensor(4.0)
        )
        found = 4 * (each * known).sum() / known.sum().clamp(min=1)
        count = len(text)
        whole = seen.whole.repeat_interleave(count, 0)
        pairs = self.model.match(whole, text.repeat(len(seen.whole), 1)).view(-1, count).float()
        # Every picture is held against every text of the batch: captions are scarce, pairs of them are not.
        weight = batch.fits / batch.fits.mean() + (1 - batch.fits) / (1 - batch.fits).mean().clamp(min=1e-3)
        fidelity = functional.binary_cross_entropy_with_logits(pairs, batch.fits, reduction="none") * weight
        looks = self.model.aesthetics(seen.whole)[:, 0].float()
        return {
            "defects": defects + order,
            "found": found,
            "fidelity": fidelity.mean() / 2,
            "aesthetics": functional.binary_cross_entropy_with_logits(looks, batch.looks),
            "naming": naming_loss([head(seen.whole) for head in self.naming], batch.facets, (0.2, 0.2, 0.2, 0.1, 0.0)),
        }


def to(batch: Batch, device: torch.device) -> Batch:
    """The batch on a device, its pictures laid out as convolutions like them."""
    return Batch(
        image=batch.image.to(device).contiguous(memory_format=torch.channels_last),
        mask=batch.mask.to(device),
        intact=batch.intact.to(device),
        places=batch.places.to(device),
        looks=batch.looks.to(device),
        texts=batch.texts,
        fits=batch.fits.to(device),
        facets=batch.facets.to(device),
    )


def train(config: Config) -> RewardModel:
    """Trains the reward model and records its held-out figures."""
    torch.manual_seed(config.seed)
    device, small = loop.device(), config.small
    trainee = Trainee(config)
    trainee.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(trainee.parameters(), lr=small.learning_rate, weight_decay=0.01)
    average = loop.Average(trainee.model, 0.998)
    run = loop.Run(config, STAGE, model=trainee, optimiser=optimiser, average=average)
    run.resume()
    pictures, embed = shards.load(config, "scene"), embedder(config)
    pairs = Pairs(pictures, softened(config, pictures, "scene", small.softened))
    trainee.train()

    def body(step: int) -> dict[str, float]:
        batch = to(pairs.make(loop.generator(config, STAGE, step), small.reward_batch), device)
        text = embed(batch.texts).to(device)
        with loop.half_precision():
            losses = trainee(batch, text)
        optimiser.param_groups[0]["lr"] = loop.learning_rate(step, small.reward_steps, small.learning_rate)
        optimiser.zero_grad()
        # Damage is the hardest to see; without a larger share the other heads take over the shared layers.
        (2 * losses["defects"] + torch.stack([losses[key] for key in OTHERS]).sum()).backward()
        nn.utils.clip_grad_norm_(trainee.parameters(), 1.0)
        optimiser.step()
        average.update(trainee.model)
        return {name: float(loss.detach()) for name, loss in losses.items()}

    run.loop(small.reward_steps, body)
    trainee.model.load_state_dict(average.weights)
    model: RewardModel = trainee.model.cpu().eval()
    scores = held_out_auc(config, model, embed)
    (run.folder / "scores.json").write_text(json.dumps(scores, indent=2) + "\n")
    log.info("held-out areas under the curve: %s", scores)
    return model


def auc(good: Tensor, bad: Tensor) -> float:
    """Area under the ROC curve: the share of (good, bad) pairs of scores that are ranked rightly, ties by half."""
    return float((good[:, None] > bad[None]).float().mean() + 0.5 * (good[:, None] == bad[None]).float().mean())


@torch.no_grad()
def held_out_auc(config: Config, model: RewardModel, embed: Embed, rounds: int = 24) -> dict[str, float]:
    """Each head's area under the curve on held-out pictures, over all pairs of a good and a bad one.

    `defects` counts pictures that are not strongly degraded besides; `fidelity` holds every picture against texts of
    the same few scenes, so most of its bad pairs have the right scene and a wrong time, weather, palette or colour.
    """
    held = shards.load(config, "held")
    pairs = Pairs(held, softened(config, held, "held", config.small.softened_held))
    rng = np.random.default_rng(99)
    good: dict[str, list[Tensor]] = {name: [] for name in REWARD_HEADS}
    bad: dict[str, list[Tensor]] = {name: [] for name in REWARD_HEADS}
    for _ in range(min(rounds, len(held) // 8 + 1)):
        batch = pairs.make(rng, 16)
        seen, text = model.see(batch.image, batch.mask), embed(batch.texts)
        intact = model.defects(seen.places)[:, 0]
        good["defects"].append(intact[batch.intact == 1])
        bad["defects"].append(intact[batch.intact == 0])
        looks = model.aesthetics(seen.whole)[:, 0]
        good["aesthetics"].append(looks[batch.looks == 1])
        bad["aesthetics"].append(looks[batch.looks < 1])
        count = len(text)
        match = model.match(seen.whole.repeat_interleave(count, 0), text.repeat(len(seen.whole), 1)).view(-1, count)
        # Only the whole pictures: a prompt is held against what may be sent.
        match, fits = match[:count], batch.fits[:count]
        good["fidelity"].append(match[fits == 1])
        bad["fidelity"].append(match[fits == 0])
    return {name: auc(torch.cat(good[name]), torch.cat(bad[name])) for name in REWARD_HEADS}


def load(config: Config) -> RewardModel:
    """The trained reward model, as far as it has got."""
    return loop.load_average(config, STAGE, networks.reward(config))


if __name__ == "__main__":
    loop.run_stage(__doc__, train)

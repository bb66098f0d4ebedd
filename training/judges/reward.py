"""Trains the reward model on intact pictures, the same pictures damaged, and captions of other pictures.

No person judged anything here. `defects` knows the damage of `training.data.corruption`. `fidelity` tells captions that
match a picture from captions that do not. `aesthetics` is a proxy: it knows technical degradation, ghosts, detail that
an autoencoder loses, and what an early checkpoint of the pipeline makes worse than a late one. Half of the pictures had
their background encoded and decoded, as has every picture that the model scores in service.
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
from training.data import checkpoint_pictures, shards
from training.data.attributes import ATTRIBUTES, naming_loss
from training.data.pairs import FAULTY, UNJUDGED, Batch, Pairs
from training.encoded.reconstructions import reconstructions
from training.encoders import text_encoders, tokenizer

log = logging.getLogger(__name__)

STAGE = "reward"
SIDE_LOSSES = ("location", "fidelity", "aesthetics", "naming")
TOKENS = 40
"""Captions are short, and attention is causal, so more padding would change nothing."""

Embed = Callable[[list[str]], Tensor]


def embedder(config: Config) -> Embed:
    """A function from texts to projected embeddings, by the trained encoders."""
    towers, tok = text_encoders.load(config), tokenizer.load(config)
    return lambda texts: text_encoders.encode(towers, tokenizer.token_ids(tok, texts, TOKENS))[1]


class Trainee(nn.Module):
    """The reward model with classifiers of attributes, which are not published but make fidelity learn faster."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.model = networks.reward(config)
        self.naming = nn.ModuleList(nn.Linear(128, len(names)) for names in ATTRIBUTES.values())

    def forward(self, batch: Batch, text: Tensor) -> dict[str, Tensor]:
        """The losses of all heads and of the attribute classifiers."""
        seen = self.model.see(batch.image, batch.mask)
        intact = self.model.defects(seen.places)[:, 0].float()
        judged = (batch.intact != UNJUDGED).float()
        entropy = functional.binary_cross_entropy_with_logits(intact, batch.intact.clamp(min=0), reduction="none")
        defects = (entropy * judged).sum() / judged.sum().clamp(min=1)
        # A pair differs in the damage alone, so ranking the two teaches most.
        good, bad = intact.chunk(2)
        both = judged.view(2, -1).amin(0)
        order = (functional.softplus(bad - good) * both).sum() / both.sum().clamp(min=1)
        # With the location of the damage as target, the votes learn from every block, not from the worst one alone.
        votes = self.model.defects.vote(seen.places).float()
        located = (batch.places != UNJUDGED).float()
        each = functional.binary_cross_entropy_with_logits(
            votes, batch.places.clamp(min=0), reduction="none", pos_weight=votes.new_tensor(4.0)
        )
        location = 4 * (each * located).sum() / located.sum().clamp(min=1)
        count = len(text)
        whole = seen.whole.repeat_interleave(count, 0)
        pairs = self.model.match(whole, text.repeat(len(seen.whole), 1)).view(-1, count).float()
        # Every picture is compared with every text of the batch, which gives many more pairs than captions.
        told, fits = (batch.fits != UNJUDGED).float(), batch.fits.clamp(min=0)
        share = ((fits * told).sum() / told.sum().clamp(min=1)).clamp(min=1e-3, max=1 - 1e-3)
        weight = told * (fits / share + (1 - fits) / (1 - share))
        fidelity = functional.binary_cross_entropy_with_logits(pairs, fits, reduction="none") * weight
        looks = self.model.looks(seen)[:, 0].float()
        return {
            "defects": defects + order,
            "location": location,
            "fidelity": fidelity.sum() / told.sum().clamp(min=1) / 2,
            "aesthetics": functional.binary_cross_entropy_with_logits(looks, batch.looks),
            "naming": naming_loss(
                [head(seen.whole) for head in self.naming], batch.attributes, (0.2, 0.2, 0.2, 0.1, 0.0)
            ),
        }


def to(batch: Batch, device: torch.device) -> Batch:
    """The batch on a device, its pictures in channels-last layout."""
    return Batch(
        image=batch.image.to(device).contiguous(memory_format=torch.channels_last),
        mask=batch.mask.to(device),
        intact=batch.intact.to(device),
        places=batch.places.to(device),
        looks=batch.looks.to(device),
        texts=batch.texts,
        fits=batch.fits.to(device),
        attributes=batch.attributes.to(device),
    )


def train(config: Config) -> RewardModel:
    """Trains the reward model and writes its held-out scores."""
    torch.manual_seed(config.seed)
    device, small = loop.device(), config.small
    trainee = Trainee(config)
    trainee.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(trainee.parameters(), lr=small.learning_rate, weight_decay=0.01)
    average = loop.Average(trainee.model, 0.998)
    run = loop.Run(config, STAGE, model=trainee, optimiser=optimiser, average=average)
    run.resume()
    pictures, embed = shards.load(config, "scene"), embedder(config)
    softened = reconstructions(config, pictures, "scene", small.reconstructed)
    pairs = Pairs(pictures, softened, checkpoint_pictures.load(config, "scene"))
    trainee.train()

    def body(step: int) -> dict[str, float]:
        batch = to(pairs.batch(loop.generator(config, STAGE, step), small.reward_batch), device)
        text = embed(batch.texts).to(device)
        with loop.half_precision():
            losses = trainee(batch, text)
        optimiser.param_groups[0]["lr"] = run.learning_rate(small.reward_steps, small.learning_rate)
        optimiser.zero_grad()
        # Damage is hardest to learn. With weight 1, the other heads would dominate the shared layers.
        (2 * losses["defects"] + torch.stack([losses[key] for key in SIDE_LOSSES]).sum()).backward()
        nn.utils.clip_grad_norm_(trainee.parameters(), 1.0)
        optimiser.step()
        average.update(trainee.model)
        return {name: float(loss.detach()) for name, loss in losses.items()}

    run.loop(small.reward_steps, body)
    trainee.model.load_state_dict(average.weights)
    model: RewardModel = trainee.model.cpu().eval()
    scores = held_out_auc(config, model, embed)
    (run.folder / "scores.json").write_text(json.dumps(scores, indent=2) + "\n")
    log.info("held-out areas under the ROC curve: %s", scores)
    return model


def auc(good: Tensor, bad: Tensor) -> float:
    """Area under the ROC curve: the share of correctly ranked (good, bad) pairs of scores; ties count half."""
    return float((good[:, None] > bad[None]).float().mean() + 0.5 * (good[:, None] == bad[None]).float().mean())


@torch.no_grad()
def held_out_auc(config: Config, model: RewardModel, embed: Embed, rounds: int = 64) -> dict[str, float]:
    """Each head's area under the ROC curve on held-out pictures, over all pairs of a good and a bad one.

    `defects` leaves out strongly degraded pictures. `fidelity` compares every picture with texts of at most four
    scenes, so most bad pairs have the right scene and a wrong time, weather, palette or colour.
    """
    held = shards.load(config, "held")
    softened = reconstructions(config, held, "held", config.small.reconstructed_held)
    pairs = Pairs(held, softened, checkpoint_pictures.load(config, "held"))
    rng = np.random.default_rng(99)
    good: dict[str, list[Tensor]] = {name: [] for name in REWARD_HEADS}
    bad: dict[str, list[Tensor]] = {name: [] for name in REWARD_HEADS}
    for _ in range(min(rounds, len(held) // 8 + 1)):
        batch = pairs.batch(rng, 16)
        seen, text = model.see(batch.image, batch.mask), embed(batch.texts)
        intact = model.defects(seen.places)[:, 0]
        good["defects"].append(intact[batch.intact == 1])
        bad["defects"].append(intact[batch.intact == 0])
        looks = model.looks(seen)[:, 0]
        good["aesthetics"].append(looks[batch.looks > FAULTY])
        bad["aesthetics"].append(looks[batch.looks < FAULTY])
        count = len(text)
        match = model.match(seen.whole.repeat_interleave(count, 0), text.repeat(len(seen.whole), 1)).view(-1, count)
        # Only the intact pictures.
        match, fits = match[:count], batch.fits[:count]
        good["fidelity"].append(match[fits == 1])
        bad["fidelity"].append(match[fits == 0])
    return {name: auc(torch.cat(good[name]), torch.cat(bad[name])) for name in REWARD_HEADS}


def load(config: Config) -> RewardModel:
    """The reward model of the last checkpoint."""
    return loop.load_average(config, STAGE, networks.reward(config))


if __name__ == "__main__":
    loop.run_stage(__doc__, train)

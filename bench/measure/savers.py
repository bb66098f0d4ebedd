"""Options that save rows, and what they cost in quality: guidance in part of the steps, weak variants dropped early.

Quality is the served reward model's score of the pictures that come back, paired: the same product, prompt and seeds
with the option and without. Pictures are the same on any machine, so rounds are more pairs, not the same ones again.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import backdrop
from bench.arms.pool import ArmPool
from bench.figures import ROOT, Figure, Mark, at_least, reported
from bench.measure.base import Measurement, command, significant
from bench.requests import SCENES

PRODUCT = ROOT / "examples" / "product.png"
WINDOWS = {"0–0.8": (0.0, 0.8), "0–0.7": (0.0, 0.7), "0–0.6": (0.0, 0.6), "0.1–0.7": (0.1, 0.7), "0–0.5": (0.0, 0.5)}
# How many of eight go on, judged by drafts of so many steps, or by predictions half-way.
DROPS = {
    "4 of drafts of 4 steps": [backdrop.EarlyDropping(4, draft_steps=4)],
    "3 of drafts of 5 steps": [backdrop.EarlyDropping(3, draft_steps=5)],
    "3 of drafts of 6 steps": [backdrop.EarlyDropping(3, draft_steps=6)],
    "2 of drafts of 6 steps": [backdrop.EarlyDropping(2, draft_steps=6)],
    # The best schedule without drafts by `python -m bench.dropping`.
    "7 at 0.2, 4 at 0.5, 3 at 0.6": [
        backdrop.EarlyDropping(keep, after) for keep, after in ((7, 0.2), (4, 0.5), (3, 0.6))
    ],
}
# Rewards are equal if no more than this is lost of a score between 0 and 1, and no loss is beyond two standard errors.
MARGIN = 0.01
WITHOUT = "all"
"""The name of the pair's half without the option."""


@dataclass(frozen=True)
class Settings:
    """Options by name, pairs per round, and what all requests ask for."""

    options: tuple[str, ...]
    requests: int
    variants: int
    top_k: int


@dataclass(frozen=True)
class Outcome:
    """Row-steps of a request, and the mean reward of its pictures."""

    row_steps: int
    reward: float


@dataclass(frozen=True)
class Round:
    """For each request, its outcome by option; `WITHOUT` is without any."""

    pairs: tuple[dict[str, Outcome], ...]


async def measure_windows(pool: ArmPool, number: int, settings: Settings) -> Round:
    """Pairs of one variant each."""
    return await pairs(pool, number, settings, {name: {"guidance_window": WINDOWS[name]} for name in settings.options})


async def measure_drops(pool: ArmPool, number: int, settings: Settings) -> Round:
    """Pairs of eight variants of which two come back."""
    return await pairs(pool, number, settings, {name: {"early_dropping": DROPS[name]} for name in settings.options})


async def pairs(pool: ArmPool, number: int, settings: Settings, options: Mapping[str, Mapping[str, Any]]) -> Round:
    """Every request with every option, and without any."""
    arm = await pool.backdrop()
    result = []
    for index in range(settings.requests):
        # Not dealt by `requests`: these numbers name pictures, so that pairs on disk can be made again.
        request = number * settings.requests + index
        outcomes: dict[str, Outcome] = {}
        for name, arguments in {WITHOUT: {}, **options}.items():
            answer: Any = await arm.client.generate(
                backdrop.Background(PRODUCT),
                prompt=SCENES[request % len(SCENES)],
                seed=100 * request,
                variants=settings.variants,
                top_k=settings.top_k,
                **arguments,
            )
            totals = [picture.scores.total for picture in answer.pictures if picture.scores]
            outcomes[name] = Outcome(answer.usage.row_steps, round(statistics.mean(totals), 5))
        result.append(outcomes)
    return Round(tuple(result))


def saved_and_lost(rounds: Sequence[Round], option: str) -> tuple[float, float, float]:
    """The share of row-steps saved, the mean change of the reward, and its standard error over the pairs."""
    every = [pair for one in rounds for pair in one.pairs]
    saved = 1 - sum(pair[option].row_steps for pair in every) / sum(pair[WITHOUT].row_steps for pair in every)
    changes = [pair[option].reward - pair[WITHOUT].reward for pair in every]
    error = statistics.stdev(changes) / math.sqrt(len(changes)) if len(changes) > 1 else math.inf
    return saved, statistics.mean(changes), error


def equal(change: float, error: float) -> bool:
    """Whether a change of the reward is no loss that counts."""
    return change >= -MARGIN and change + 2 * error >= 0


def figures(rounds: Sequence[Round], settings: Settings, name: str, mark: Mark, measurement: str) -> list[Figure]:
    """The most that is saved at equal quality, and what each option saves and loses."""
    count = sum(len(one.pairs) for one in rounds)
    best, by_option = ("none", 0.0), []
    for option in settings.options:
        saved, change, error = saved_and_lost(rounds, option)
        spread = f"reward {change:+.4f} ± {error:.4f}, {count} pairs"
        if equal(change, error) and saved > best[1]:
            best = f"{option}: {spread}", saved
        title = f"{name}, {option}: row-steps saved"
        by_option.append(Figure(title, significant(saved), reported("higher"), command(measurement), spread))
    spread = f"{best[0]}; equal: the reward falls by ≤ {MARGIN:g} and not by more than two standard errors"
    title = f"{name}: row-steps saved at equal reward"
    return [Figure(title, significant(best[1]), mark, command(measurement), spread), *by_option]


GUIDANCE_WINDOW = Measurement(
    "guidance-window",
    Settings(tuple(WINDOWS), 20, variants=1, top_k=1),
    None,
    Round,
    measure_windows,
    lambda rounds, settings: figures(rounds, settings, "guidance window", at_least(0.2), "guidance-window"),
)
EARLY_DROPPING = Measurement(
    "early-dropping",
    Settings(tuple(DROPS), 6, variants=8, top_k=2),
    None,
    Round,
    measure_drops,
    lambda rounds, settings: figures(
        rounds, settings, "early dropping of weak variants", at_least(0.3), "early-dropping"
    ),
)

"""Options that save rows, and what they cost in quality: guidance in part of the steps, weak variants dropped early.

Quality is the served reward model's word on the pictures that come back, paired: the same product, prompt and seeds
with the option and without. Pictures are the same on any machine, so rounds are more pairs, not the same ones again.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import backdrop
from bench.arms.company import Company
from bench.figures import ROOT, Figure
from bench.measure.base import Measurement, significant
from bench.orders import SCENES
from bench.rounds import Round

PRODUCT = ROOT / "examples" / "product.png"
WINDOWS = {"0–0.8": (0.0, 0.8), "0–0.7": (0.0, 0.7), "0–0.6": (0.0, 0.6), "0.1–0.7": (0.1, 0.7), "0–0.5": (0.0, 0.5)}
# How many of eight go on, and what they are judged by: drafts of so many steps, or what is predicted half-way.
DROPS = {
    "4 of drafts of 4 steps": [backdrop.EarlyDropping(4, draft_steps=4)],
    "3 of drafts of 5 steps": [backdrop.EarlyDropping(3, draft_steps=5)],
    "3 of drafts of 6 steps": [backdrop.EarlyDropping(3, draft_steps=6)],
    "2 of drafts of 6 steps": [backdrop.EarlyDropping(2, draft_steps=6)],
    # The best of what `python -m bench.dropping` finds without drafts.
    "7 at 0.2, 4 at 0.5, 3 at 0.6": [
        backdrop.EarlyDropping(keep, after) for keep, after in ((7, 0.2), (4, 0.5), (3, 0.6))
    ],
}
# What counts as equal: no more than this is lost of a score between 0 and 1, and no loss is beyond two standard errors.
MARGIN = 0.01


def window(option: str) -> dict[str, Any]:
    """A guidance window as the SDK's arguments."""
    return {"guidance_window": WINDOWS[option]}


def dropping(option: str) -> dict[str, Any]:
    """Early dropping as the SDK's arguments."""
    return {"early_dropping": DROPS[option]}


async def measure_windows(company: Company, number: int, settings: Mapping[str, Any]) -> Round:
    """Pairs of one variant each."""
    arguments = {name: window(name) for name in settings["options"]}
    return {"pairs": await pairs(company, number, settings, arguments)}


async def measure_drops(company: Company, number: int, settings: Mapping[str, Any]) -> Round:
    """Pairs of eight variants of which two come back."""
    arguments = {name: dropping(name) for name in settings["options"]}
    return {"pairs": await pairs(company, number, settings, arguments)}


async def pairs(
    company: Company, number: int, settings: Mapping[str, Any], options: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """For each order, rows and mean reward with every option; "all" is without any."""
    arm = await company.backdrop()
    found = []
    for index in range(settings["orders"]):
        order = number * settings["orders"] + index
        one: dict[str, Any] = {}
        for name, arguments in {"all": {}, **options}.items():
            result: Any = await arm.client.generate(
                PRODUCT, prompt=SCENES[order % len(SCENES)], seed=100 * order, **settings["request"], **arguments
            )
            totals = [picture.scores.total for picture in result.pictures]
            one[name] = {"row_steps": result.usage.row_steps, "reward": round(statistics.mean(totals), 5)}
        found.append(one)
    return found


def saved_and_lost(rounds: Sequence[Round], option: str) -> tuple[float, float, float]:
    """The share of row-steps saved, the mean change of the reward, and its standard error over the pairs."""
    every = [pair for one in rounds for pair in one["pairs"]]
    saved = 1 - sum(pair[option]["row_steps"] for pair in every) / sum(pair["all"]["row_steps"] for pair in every)
    changes = [pair[option]["reward"] - pair["all"]["reward"] for pair in every]
    error = statistics.stdev(changes) / math.sqrt(len(changes)) if len(changes) > 1 else math.inf
    return saved, statistics.mean(changes), error


def equal(change: float, error: float) -> bool:
    """Whether a change of the reward is none that counts."""
    return change >= -MARGIN and change + 2 * error >= 0


def figures(
    rounds: Sequence[Round], settings: Mapping[str, Any], name: str, mark: float, measurement: str
) -> list[Figure]:
    """The most that is saved at equal quality, and what each option saves and loses."""
    command = f"python -m bench.performance {measurement}"
    count = sum(len(one["pairs"]) for one in rounds)
    best, made = ("none", 0.0), []
    for option in settings["options"]:
        saved, change, error = saved_and_lost(rounds, option)
        spread = f"reward {change:+.4f} ± {error:.4f}, {count} pairs"
        if equal(change, error) and saved > best[1]:
            best = f"{option}: {spread}", saved
        made.append(Figure(f"{name}, {option}: row-steps saved", significant(saved), None, "higher", command, spread))
    spread = f"{best[0]}; equal: the reward falls by ≤ {MARGIN:g} and not by more than two standard errors"
    what = f"{name}: row-steps saved at equal reward"
    return [Figure(what, significant(best[1]), mark, "higher", command, spread), *made]


GUIDANCE_WINDOW = Measurement(
    "guidance-window",
    {"options": list(WINDOWS), "orders": 20, "request": {"variants": 1}},
    None,
    measure_windows,
    lambda rounds, settings: figures(rounds, settings, "guidance window", 0.2, "guidance-window"),
)
EARLY_DROPPING = Measurement(
    "early-dropping",
    {"options": list(DROPS), "orders": 6, "request": {"variants": 8, "top_k": 2}},
    None,
    measure_drops,
    lambda rounds, settings: figures(rounds, settings, "early dropping of weak variants", 0.3, "early-dropping"),
)

"""Draws two sheets of every task that samples, for docs/models.md: ten seeds, and the best and the worst of sixteen.

usage: python -m bench.gallery.sheets
"""

from __future__ import annotations

import json
import shlex
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from backdrop._cli.examples import EXAMPLES
from backdrop.contract.rules import TASKS as RULES
from bench.field_load import running_cluster
from bench.figures import ROOT
from bench.gallery.commands import run_command, words_of

SEEDS, VARIANTS, ENDS = 10, 16, 5
"""How many seeds the first sheet has, how many variants the second ranks, and how many of each end it shows."""
_IMAGES = ROOT / "docs" / "images" / "models"
_SIDE, _GAP, _LABEL, _FOOT, _QUALITY = 132, 4, 96, 16, 84
_PAPER, _INK = (18, 18, 22), (225, 225, 225)
_OWN = ("--variants", "--top-k", "--seed")
"""Flags of the examples whose values the sheets choose."""

Row = tuple[str, Sequence[tuple[str, Path]]]
"""A task, and its pictures with what stands below each."""


def main() -> None:
    """Writes both sheets."""
    tasks = [name for name, rules in RULES.items() if rules.sampled]
    with running_cluster() as (endpoint, _, _), tempfile.TemporaryDirectory(prefix="backdrop-sheets-") as folder:
        seeds: list[Row] = []
        ranked: list[Row] = []
        for task in tasks:
            words = plain(EXAMPLES[task][0].command)
            tiles = []
            for seed in range(SEEDS):
                flags = ["--seed", str(seed), "--endpoint", endpoint, "--out", str(Path(folder, f"{task}-{seed}"))]
                tiles += [(f"seed {seed}", file) for _, file in pictures_of([*words, *flags])]
            seeds.append((task, tiles))
            flags = ["--seed", "0", "--variants", str(VARIANTS), "--endpoint", endpoint]
            by_score = pictures_of([*words, *flags, "--out", str(Path(folder, f"{task}-ranked"))])
            ends = [*enumerate(by_score[:ENDS], 1), *enumerate(by_score[-ENDS:], len(by_score) - ENDS + 1)]
            ranked.append((task, [(_below(place, score), file) for place, (score, file) in ends]))
            sys.stdout.write(f"{task}: {len(tiles)} seeds, {len(by_score)} variants\n")
            sys.stdout.flush()
        _IMAGES.mkdir(parents=True, exist_ok=True)
        for name, rows in (("tasks-seeds", seeds), ("tasks-ranked", ranked)):
            draw_sheet(rows).save(_IMAGES / f"{name}.jpg", quality=_QUALITY, optimize=True)


def plain(command: str) -> list[str]:
    """The words of an example's command after the program's name, without those that a sheet chooses."""
    words = words_of(command)
    chosen = [n for n, word in enumerate(words) if word in _OWN]
    return [word for n, word in enumerate(words) if n not in chosen and n - 1 not in chosen]


def _below(place: int, score: float | None) -> str:
    return f"{place}." if score is None else f"{place}.  {score:.2f}"


def pictures_of(words: Sequence[str]) -> list[tuple[float | None, Path]]:
    """Runs a command; its pictures with their total scores, the best first. What is not judged has no score.

    Raises:
        RuntimeError: the command failed, with what it said.
    """
    process = run_command(words)
    if process.returncode != 0:
        raise RuntimeError(f"{shlex.join(words)}: {process.stderr.strip()}")
    out = Path(words[words.index("--out") + 1])
    result = json.loads((out / "result.json").read_text())
    totals = [picture["scores"]["total"] if picture["scores"] else None for picture in result["pictures"]]
    return [(total, out / picture["file"]) for total, picture in zip(totals, result["pictures"], strict=True)]


def draw_sheet(rows: Sequence[Row]) -> Image.Image:
    """A row for each task, its name at the left; pictures keep their proportions."""
    across = max(len(tiles) for _, tiles in rows)
    high = _SIDE + _FOOT + _GAP
    sheet = Image.new("RGB", (_LABEL + across * (_SIDE + _GAP), len(rows) * high), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for y, (name, tiles) in enumerate(rows):
        draw.text((6, y * high + _SIDE // 2 - 6), name.replace("_", " "), fill=_INK)
        for x, (below, file) in enumerate(tiles):
            with Image.open(file) as opened:
                picture = opened.convert("RGB")
            picture.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
            left = _LABEL + x * (_SIDE + _GAP)
            sheet.paste(picture, (left, y * high + _SIDE - picture.height))
            draw.text((left + 2, y * high + _SIDE + 2), below, fill=_INK)
    return sheet


if __name__ == "__main__":
    main()

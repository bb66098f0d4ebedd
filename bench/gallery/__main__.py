"""Runs the examples of every task on a local cluster, and writes docs/gallery.md with their pictures.

usage: python -m bench.gallery
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from pathlib import Path

from backdrop._cli.examples import Example
from backdrop._cli.failures import BAD_INPUT
from backdrop.contract.rules import TASKS as RULES
from bench.field_load import running_cluster
from bench.figures import ROOT
from bench.gallery.commands import run_command, words_of
from bench.gallery.page import Exhibit, command_of, every_example, page
from bench.gallery.samples import FOLDER
from bench.gallery.strip import draw_strip

_PAGE, _IMAGES = ROOT / "docs" / "gallery.md", ROOT / "docs" / "images" / "gallery"
_HEIGHT, _QUALITY = 176, 85


def main() -> None:
    """Writes the page and its pictures; examples that the cluster refuses are on it with their error."""
    _IMAGES.mkdir(parents=True, exist_ok=True)
    with running_cluster() as (endpoint, _, _), tempfile.TemporaryDirectory(prefix="backdrop-gallery-") as folder:
        exhibits: dict[str, list[Exhibit]] = {}
        for task, examples in every_example().items():
            exhibits[task] = []
            for number, example in enumerate(examples, 1):
                name = f"{task.replace('_', '-')}-{number}"
                exhibits[task].append(_exhibit(task, example, endpoint, Path(folder, name)))
    used = {exhibit.image for each in exhibits.values() for exhibit in each}
    for image in _IMAGES.iterdir():
        if image.name not in used:
            image.unlink()
    _PAGE.write_text(page(exhibits))


def _exhibit(task: str, example: Example, endpoint: str, out: Path) -> Exhibit:
    words = words_of(command_of(task, example))
    process = run_command([*words, "--endpoint", endpoint, "--out", str(out)])
    sys.stdout.write(f"{out.name}: exit status {process.returncode}\n")
    sys.stdout.flush()
    if process.returncode == BAD_INPUT:  # the shipped models do not serve it
        return Exhibit(example, refusal=process.stderr.strip().splitlines()[-1].removeprefix("Error: "))
    if process.returncode != 0:
        raise RuntimeError(f"{out.name}: {process.stderr.strip()}")
    result = json.loads((out / "result.json").read_text())
    files = [out / picture["file"] for picture in result["pictures"]]
    sent = [FOLDER / file for word in words for file in _files(word)]
    # What is computed, not sampled, is judged by its pixels: it is drawn at its own size.
    height = _HEIGHT if RULES[task].sampled else result["settings"]["output_size"][1]
    image = f"{out.name}.jpg"
    draw_strip(sent, files, height).save(_IMAGES / image, quality=_QUALITY, optimize=True)
    return Exhibit(example, image)


def _files(word: str) -> list[str]:
    """The sample that a flag's value names; a weight or a rectangle may follow."""
    name = re.split("[:@]", word)[0]
    return [name] if (FOLDER / name).is_file() else []


if __name__ == "__main__":
    main()

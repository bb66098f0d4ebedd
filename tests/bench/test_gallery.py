"""The gallery: its page shows current examples, and its strips have every picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from backdrop._cli.examples import Example
from bench.figures import ROOT
from bench.gallery import sheets
from bench.gallery.page import Exhibit, command_of, every_example, page
from bench.gallery.samples import FOLDER
from bench.gallery.strip import draw_strip
from tests.fenced import commands, page_commands

MOST_BYTES = 1_000_000


def test_the_page_shows_examples_as_they_are_now() -> None:
    current = [
        words
        for task, examples in every_example().items()
        for example in examples
        for words in commands(command_of(task, example))
    ]
    shown = list(page_commands(ROOT / "docs" / "gallery.md"))
    assert shown
    assert [words for words in current if words in shown] == shown, "run `make gallery`"


def test_the_pictures_of_the_page_are_small() -> None:
    files = list((ROOT / "docs" / "images" / "gallery").iterdir())
    assert files
    assert sum(file.stat().st_size for file in files) < MOST_BYTES


def test_seeds_and_variants_are_added_to_tasks_that_sample() -> None:
    assert command_of("vary", Example("", "backdrop vary")) == "backdrop vary --seed 0 --variants 3"
    assert command_of("vary", Example("", "backdrop vary --variants 2")) == "backdrop vary --variants 2 --seed 0"
    assert command_of("shadow", Example("", "backdrop shadow")) == "backdrop shadow"


def test_a_refusal_is_shown_as_it_is() -> None:
    exhibits = {task: [Exhibit(example) for example in examples] for task, examples in every_example().items()}
    exhibits["upscale"] = [Exhibit(Example("Enlarge.", "backdrop upscale"), refusal="No upscaler.")]
    text = page(exhibits)
    assert text.endswith("Enlarge.\n```sh\nbackdrop upscale\n```\n\nRefused: No upscaler.\n")


def test_a_strip_has_sent_pictures_and_results_of_one_height(tmp_path: Path) -> None:
    Image.new("RGB", (40, 20), "red").save(tmp_path / "1.png")
    Image.new("RGBA", (20, 20), (0, 0, 0, 0)).save(tmp_path / "2.png")
    strip = draw_strip([tmp_path / "2.png"], [tmp_path / "1.png", FOLDER / "picture.png"], 32)
    assert strip.size == (32 + 18 + 64 + 6 + 32, 32)
    assert strip.getpixel((32 + 18 + 5, 5)) == (255, 0, 0)
    assert strip.getpixel((5, 5)) == (238, 238, 236)


def test_a_sheet_chooses_seeds_and_variants_itself() -> None:
    words = sheets.plain('backdrop background --product p.png --prompt "a beach" --variants 4 --top-k 2')
    assert words == ["background", "--product", "p.png", "--prompt", "a beach"]
    assert sheets.plain("backdrop erase --picture p.png \\\n  --seed 7 --size 16x16") == [
        "erase",
        "--picture",
        "p.png",
        "--size",
        "16x16",
    ]


def test_a_sheet_has_a_row_for_each_task(tmp_path: Path) -> None:
    wide, tall = tmp_path / "wide.png", tmp_path / "tall.png"
    Image.new("RGB", (320, 160), "red").save(wide)
    Image.new("RGB", (160, 320), "blue").save(tall)
    one = sheets.draw_sheet([("erase", [("seed 0", wide), ("seed 1", tall)])])
    two = sheets.draw_sheet([("erase", [("seed 0", wide), ("seed 1", tall)]), ("fill", [("seed 0", wide)])])
    assert two.size == (one.width, 2 * one.height)
    pixels = np.asarray(two)
    assert ((pixels[..., 0] > 200) & (pixels[..., 1] < 50)).any()
    assert ((pixels[..., 2] > 200) & (pixels[..., 1] < 50)).any()

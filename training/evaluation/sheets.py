"""Sheets of pictures for docs/models.md: the pictures of each stage, with their prompts."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from training.data.pictures import pictures_to_tensor
from training.evaluation import generation, held_out
from training.evaluation.context import Context
from training.evaluation.figures import Figure
from training.evaluation.style import style_specs
from training.world.brand import NAME, brand_picture, brand_spec
from training.world.labels import PALETTES, SCENES, draw_spec
from training.world.picture import render

log = logging.getLogger(__name__)

OUT = Path("docs/images/models")
STRIP, GAP = 26, 4
DARK, LIGHT = (18, 18, 22), (225, 225, 225)


def page(rows: list[tuple[str, Tensor]], captions: list[str], side: int = 160) -> Image.Image:
    """A sheet with one labelled row per entry of `rows` (pictures [N, 3, H, W]) and captions under the last row."""
    left, across = 110, len(captions)
    width, height = left + across * (side + GAP), len(rows) * (side + GAP) + STRIP
    sheet = Image.new("RGB", (width, height), DARK)
    draw = ImageDraw.Draw(sheet)
    for y, (label, pictures) in enumerate(rows):
        draw.text((6, y * (side + GAP) + side // 2 - 6), label, fill=LIGHT)
        for x, picture in enumerate(pictures):
            pixels = ((picture.permute(1, 2, 0).numpy() + 1) * 127.5).round().clip(0, 255).astype(np.uint8)
            tile = Image.fromarray(pixels).resize((side, side), Image.Resampling.LANCZOS)
            sheet.paste(tile, (left + x * (side + GAP), y * (side + GAP)))
    for x, caption in enumerate(captions):
        for line, part in enumerate((caption[:26], caption[26:52])):
            draw.text((left + x * (side + GAP) + 2, height - STRIP + 12 * line), part, fill=LIGHT)
    return sheet


def save(name: str, sheet: Image.Image) -> None:
    """Writes a sheet as JPEG."""
    OUT.mkdir(parents=True, exist_ok=True)
    sheet.save(OUT / f"{name}.jpg", quality=88)
    log.info("%s", OUT / f"{name}.jpg")


def world() -> Image.Image:
    """The rendered world: every scene, and every palette of one scene."""
    seeds = [next(s for s in range(held_out.STYLE_SEED, 10**9) if draw_spec(s).scene == scene) for scene in SCENES]
    rows = [("rendered", _rendered([render(seed).image for seed in seeds]))]
    again = [
        next(
            s
            for s in range(held_out.STYLE_SEED + 500, 10**9)
            if draw_spec(s).scene == scene and draw_spec(s).palette != "natural"
        )
        for scene in SCENES
    ]
    rows.append(("in a palette", _rendered([render(seed).image for seed in again])))
    return page(rows, list(SCENES))


def stages(context: Context) -> Image.Image:
    """Pictures of the same prompts and products by every pipeline."""
    rows, texts = [], [prompt.text for prompt in context.prompts[: len(SCENES)]]
    for name in ("base", "inpaint", "backdrop", "backdrop-fast", "backdrop-dit"):
        try:
            pictures = context.scenes(name)[: len(SCENES)] if name != "inpaint" else _inpaint(context, texts)
        except FileNotFoundError as missing:
            log.warning("%s is not in the sheet: %s", name, missing)
            continue
        rows.append((name, pictures))
    return page(rows, texts)


def _inpaint(context: Context, texts: list[str]) -> Tensor:
    return generation.generate(context.pipeline("inpaint"), context.products, texts, "stage 1")


def styles(context: Context) -> Image.Image:
    """Style pictures of all palettes, and pictures of three prompts with each style."""
    pipeline = context.pipeline("backdrop")
    assert pipeline.images is not None
    specs = style_specs(len(PALETTES))
    shown = _rendered([render(spec.seed, spec=spec).image for spec in specs])
    with torch.no_grad():
        tokens = [pipeline.images.tokens([(picture, 1.0)]) for picture in shown]
    rows = [("style picture", shown)]
    for text in ("a beach", "a mountain lake", "a kitchen"):
        pictures = generation.generate(pipeline, context.products, [text] * len(specs), f"style, {text}", styles=tokens)
        rows.append((text, pictures))
    return page(rows, [f"{spec.palette}, {spec.time}" for spec in specs])


def brand(context: Context) -> Image.Image:
    """The brand's own pictures, and the same prompts with and without its LoRA."""
    specs = [brand_spec(held_out.STYLE_SEED + n) for n in range(8)]
    texts = [f"{NAME} style, {spec.product} on the {spec.scene}" for spec in specs]
    rows = [("the brand", _rendered([brand_picture(spec.seed).image for spec in specs]))]
    for name, pipeline in (
        ("with LoRA", context.with_lora(f"{NAME}.safetensors")),
        ("without", context.pipeline("backdrop")),
    ):
        rows.append((name, generation.generate(pipeline, context.products, texts, f"brand, {name}")))
    return page(rows, texts)


def _rendered(images: list[np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]]) -> Tensor:
    return pictures_to_tensor(np.stack(images))


def measure(context: Context) -> list[Figure]:
    """Writes the sheets; returns no figures."""
    save("world", world())
    save("stages", stages(context))
    save("styles", styles(context))
    if (context.config.paths.weights / "lora" / f"{NAME}.safetensors").exists():
        save("brand", brand(context))
    return []

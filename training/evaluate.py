"""Measures the finished weights on held-out prompts and products: `python -m training.evaluate --weights DIR`.

Nothing here was seen in training: products, masks and captions come from seeds at and above `HELD_OUT_SEED`, and the
judge of scenes learnt from rendered pictures only.
"""

from __future__ import annotations

import argparse
import logging
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from training import classifier, loop, segmenter
from training.config import HELD_OUT_SEED, Config
from training.data import pictures_to_tensor, product_masks
from training.figures import Figure, row_time_ms, update
from training.generate import Pipeline
from training.reward import Batches, held_out
from training.shards import PHOTO_SEED, PictureSet
from training.world.captions import background_prompt
from training.world.labels import SCENES
from training.world.picture import plain_photo, render

log = logging.getLogger(__name__)


def held_pictures(count: int, photos: bool = False) -> PictureSet:
    """Held-out pictures, rendered on the spot: measuring needs no shards."""
    draw, first = (plain_photo, HELD_OUT_SEED + PHOTO_SEED) if photos else (render, HELD_OUT_SEED)
    made = [draw(seed) for seed in range(first, first + count)]
    rows = [{"caption": p.caption, "background": p.background, **asdict(p.spec)} for p in made]
    return PictureSet([np.stack([p.image for p in made])], [np.stack([p.product_mask for p in made])], rows)


def prompts_for(count: int) -> list[tuple[str, str]]:
    """(scene, prompt) pairs, the scenes in turn, phrased by held-out seeds."""
    pairs: list[tuple[str, str]] = []
    seed = HELD_OUT_SEED + 2_000_000
    wanted = list(SCENES)
    from training.world.labels import draw_spec

    while len(pairs) < count:
        spec = draw_spec(seed)
        if spec.scene == wanted[len(pairs) % len(wanted)]:
            pairs.append((spec.scene, background_prompt(spec, np.random.default_rng(seed))))
        seed += 1
    return pairs


def generate(
    pipeline: Pipeline, held: PictureSet, pairs: list[tuple[str, str]], guidance: float | None, batch: int = 8
) -> tuple[Tensor, Tensor, Tensor]:
    """Puts held-out products into the prompts' scenes; returns made pictures, products' pictures and masks."""
    made, originals, masks = [], [], []
    for start in range(0, len(pairs), batch):
        pick = np.arange(start, min(start + batch, len(pairs))) % len(held)
        image, mask = held.at(pick)
        original, hole = pictures_to_tensor(image), product_masks(mask)
        texts = [prompt for _, prompt in pairs[start : start + batch]]
        made.append(pipeline.make(texts, original, hole, seed=start, guidance=guidance))
        originals.append(original)
        masks.append(hole)
        log.info("generated %d/%d", start + len(texts), len(pairs))
    return torch.cat(made), torch.cat(originals), torch.cat(masks)


def psnr(made: Tensor, real: Tensor, weight: Tensor | None = None) -> float:
    """Peak signal-to-noise ratio in dB of pictures in [-1, 1], where `weight` [B, 1, H, W] is 1."""
    square = (made - real) ** 2
    mean = square.mean() if weight is None else (square * weight).sum() / (3 * weight.sum())
    return float(10 * torch.log10(4 / mean))


def sheet(
    path: Path, made: Tensor, originals: Tensor, masks: Tensor, pairs: list[tuple[str, str]], across: int = 8
) -> None:
    """A contact sheet: made pictures with the product as it was sent, prompts beneath."""
    pictures = made * masks + originals * (1 - masks)
    size, strip = pictures.shape[-1], 30
    down = (len(pictures) + across - 1) // across
    page = Image.new("RGB", (across * size, down * (size + strip)), (18, 18, 22))
    draw = ImageDraw.Draw(page)
    for n, picture in enumerate(pictures):
        x, y = n % across * size, n // across * (size + strip)
        page.paste(Image.fromarray(((picture.permute(1, 2, 0).numpy() + 1) * 127.5).round().astype(np.uint8)), (x, y))
        prompt = pairs[n][1]
        draw.text((x + 4, y + size + 2), prompt[:42], fill=(225, 225, 225))
        draw.text((x + 4, y + size + 14), prompt[42:84], fill=(225, 225, 225))
    path.parent.mkdir(parents=True, exist_ok=True)
    page.save(path)


@torch.no_grad()
def autoencoder_figures(pipeline: Pipeline, held: PictureSet, count: int = 64) -> list[Figure]:
    """How well pictures come back from latents, and how well the decoder alone keeps the product."""
    whole, kept = [], []
    for start in range(0, count, 8):
        images, masks = held.at(np.arange(start, start + 8))
        image, mask = pictures_to_tensor(images), product_masks(masks)
        latent = pipeline.vae.encode(image).latent_dist.mean
        whole.append(psnr(pipeline.vae.decode(latent, image=image, mask=torch.ones_like(mask)).sample, image))
        kept.append(psnr(pipeline.vae.decode(latent, image=image, mask=mask).sample, image, (mask < 0.02).float()))
    return [
        Figure(
            "VAE reconstruction, held-out pictures, PSNR dB",
            float(np.mean(whole)),
            24.0,
            "higher",
            float(np.std(whole)),
        ),
        Figure(
            "VAE decoder on the kept product (before compositing), PSNR dB",
            float(np.mean(kept)),
            30.0,
            "higher",
            float(np.std(kept)),
        ),
    ]


def wilson(share: float, count: int) -> float:
    """Half the 95 % interval of a share (Wilson 1927); unlike the plain one it is not 0 where all or none succeed."""
    z2 = 1.96**2
    half: float = 1.96 * (share * (1 - share) / count + z2 / (4 * count**2)) ** 0.5 / (1 + z2 / count)
    return half


def relative(path: Path) -> Path:
    """The path as one would type it here: figures are read on other machines."""
    here = Path.cwd()
    return path.resolve().relative_to(here) if path.resolve().is_relative_to(here) else Path(path.name)


def scene_figures(config: Config, made: Tensor, pairs: list[tuple[str, str]], held: PictureSet) -> list[Figure]:
    """Whether the scene that was asked for is the one that a classifier sees."""
    judge = classifier.load(config)
    with torch.no_grad():
        guesses = [SCENES[n] for n in torch.cat([judge(picture[None]) for picture in made]).argmax(1).tolist()]
    right = [guess == scene for guess, (scene, _) in zip(guesses, pairs, strict=True)]
    for scene in SCENES:
        hits = [ok for ok, (asked, _) in zip(right, pairs, strict=True) if asked == scene]
        log.info("%-9s %d of %d", scene, sum(hits), len(hits))
    share = float(np.mean(right))
    return [
        Figure(
            "asked-for scene recognised, held-out prompts and products",
            share,
            0.60,
            "higher",
            wilson(share, len(right)),
        ),
        Figure(
            "scene classifier on held-out rendered pictures, accuracy",
            classifier.accuracy(judge, held),
            0.95,
            "higher",
            0.0,
        ),
    ]


WHY_SCENES = (
    "trained for minutes on two cores; it takes other round things of a scene along. Plain photos are what it is for"
)
WHY_DEFECTS = (
    "learns last and was trained for minutes; some damage, a smear on a smooth wall say, cannot be seen at all"
)


def part_figures(pipeline: Pipeline, held: PictureSet, photos: PictureSet) -> list[Figure]:
    """The small networks on held-out pictures, and what a row costs in torch."""
    plain, scenes = (segmenter.overlap(pipeline.segmenter, pictures) for pictures in (photos, held))
    figures = [
        Figure("segmenter on plain product photos, IoU", plain, 0.90, "higher", 0.0),
        Figure("segmenter on products in scenes, IoU", scenes, 0.80, "higher", 0.0, WHY_SCENES),
    ]
    scores = held_out(pipeline.reward, Batches(held, lambda texts: pipeline.encode(texts)[1]))
    for name, bad, why in (
        ("defects", "damaged", WHY_DEFECTS),
        ("fidelity", "other caption", ""),
        ("aesthetics", "degraded; a proxy", ""),
    ):
        row = f"reward head {name}: good above {bad}, share of pairs"
        figures.append(Figure(row, scores[name], 0.80, "higher", 0.0, why))
    for name, mark, times in row_time_ms(pipeline):
        figures.append(Figure(name, float(np.median(times)), mark, "lower", float(np.std(times))))
    return figures


def main() -> None:
    """Measures, and writes the rows and the contact sheet asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=Config().paths.weights)
    parser.add_argument("--figures", type=Path, help="JSON file whose rows are added or replaced")
    parser.add_argument("--sheet", type=Path, help="PNG contact sheet")
    parser.add_argument("--count", type=int, default=64, help="pictures to generate")
    parser.add_argument("--guidance", type=float, help="guidance scale; the folder's default otherwise")
    parser.add_argument("--scenes-only", action="store_true", help="skip the figures of the parts")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    loop.start_logging()
    torch.set_num_threads(arguments.threads)
    config, pipeline = Config(), Pipeline.load(arguments.weights)
    held = held_pictures(256)
    pairs = prompts_for(arguments.count)
    made, originals, masks = generate(pipeline, held, pairs, arguments.guidance)
    if arguments.sheet:
        sheet(arguments.sheet, made, originals, masks, pairs)
    figures = scene_figures(config, made, pairs, held)
    if not arguments.scenes_only:
        figures += autoencoder_figures(pipeline, held) + part_figures(pipeline, held, held_pictures(64, photos=True))
    for figure in figures:
        log.info("%s", figure)
    if arguments.figures:
        update(
            arguments.figures,
            figures,
            f"python -m training.evaluate --weights {relative(arguments.weights)} --count {arguments.count}",
        )


if __name__ == "__main__":
    main()

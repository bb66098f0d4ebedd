"""Encodes the training pictures once: latents, masked latents and masks at 1/8, and the states of their captions.

`python -m training.latents --size 128` and `--size 256` write shards; `--text` writes the caption bank. All resumable.
"""

from __future__ import annotations

import argparse
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AsymmetricAutoencoderKL
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import avg_pool2d

from training import loop, shards, text_encoders, tokenizer, vae
from training.config import Config
from training.data import latent_mask, masked_picture, pictures_to_tensor, product_masks, random_mask

log = logging.getLogger(__name__)


def folder(config: Config) -> Path:
    """Where the encoded shards lie."""
    path = config.paths.work / "latents"
    path.mkdir(parents=True, exist_ok=True)
    return path


def masks_for(config: Config, masks: NDArray[Any], shard: int, size: int) -> Tensor:
    """Background masks [B, 1, H, W] of one shard: mostly the product's, every fifth a random one."""
    rng = loop.generator(config, "latents", shard)
    mask = product_masks(masks)
    mask = avg_pool2d(mask, mask.shape[-1] // size)
    for row in range(0, len(mask), 5):
        mask[row, 0] = torch.from_numpy(random_mask(rng, size, size))
    return mask


@torch.no_grad()
def encode(model: AsymmetricAutoencoderKL, image: Tensor) -> Tensor:
    """The encoder's mean, scaled as the denoiser sees it."""
    with loop.half_precision():
        mean = model.encode(image.contiguous(memory_format=torch.channels_last)).latent_dist.mean
    return torch.as_tensor(mean.float() * float(model.config["scaling_factor"]))


def encode_shard(
    config: Config, model: AsymmetricAutoencoderKL, pictures: shards.PictureSet, shard: int, size: int
) -> None:
    """Writes the latents of one shard, unless they are there."""
    path = folder(config) / f"{size}-{shard:03d}.npz"
    if path.exists():
        return
    masks = masks_for(config, pictures.masks[shard], shard, size)
    parts: dict[str, list[Tensor]] = {"latent": [], "masked": [], "mask": []}
    for start in range(0, len(masks), 8):
        image = pictures_to_tensor(pictures.images[shard][start : start + 8])
        image = avg_pool2d(image, image.shape[-1] // size)
        mask = masks[start : start + 8]
        parts["latent"].append(encode(model, image))
        parts["masked"].append(encode(model, masked_picture(image, mask)))
        parts["mask"].append(latent_mask(mask))
    staging = path.with_suffix(".tmp.npz")
    np.savez(staging, **{name: torch.cat(part).half().numpy() for name, part in parts.items()})
    staging.rename(path)


def run_pictures(config: Config, size: int, count: int) -> None:
    """Encodes the first `count` training pictures at `size` pixels, and an all-grey picture for text-to-image."""
    model = vae.load(config).to(memory_format=torch.channels_last)
    pictures = shards.load(config, "scene")
    np.save(folder(config) / f"grey-{size}.npy", encode(model, torch.zeros(1, 3, size, size)).numpy())
    for shard in range(min(len(pictures.images), count // config.data.shard_count)):
        encode_shard(config, model, pictures, shard, size)
        log.info("latents of %d pixels: shard %d", size, shard)


@torch.no_grad()
def run_text(config: Config, count: int, per_picture: int = 1, batch: int = 64) -> None:
    """Encodes captions of the first `count` pictures; the very last row of the bank is the empty prompt."""
    towers, tok = text_encoders.load(config), tokenizer.load(config)
    strangers = text_encoders.stranger_words()
    rows = shards.load(config, "scene").rows[:count]
    rng = loop.generator(config, "captions", 0)
    texts = [
        text_encoders.caption_for(text_encoders.spec_of(row), rng, strangers)
        for row in rows
        for _ in range(per_picture)
    ]
    texts.append("")
    width = config.text.cross_attention_dim
    shape = (len(texts), config.text.max_length, width)
    bank = np.lib.format.open_memmap(  # type: ignore[no-untyped-call]
        folder(config) / "states.tmp.npy", "w+", np.float16, shape
    )
    pooled = np.zeros((len(texts), config.text.projection), np.float16)
    for start in range(0, len(texts), batch):
        ids = text_encoders.tokens(tok, texts[start : start + batch], config.text.max_length)
        with loop.half_precision():
            states, embeds = text_encoders.encode(towers, ids)
        bank[start : start + batch] = states.half().numpy()
        pooled[start : start + batch] = embeds.half().numpy()
        if start // batch % 20 == 0:
            log.info("captions %d/%d", start, len(texts))
    bank.flush()
    np.save(folder(config) / "pooled.npy", pooled)
    (folder(config) / "captions.json").write_text(json.dumps({"per_picture": per_picture, "texts": texts}))
    (folder(config) / "states.tmp.npy").rename(folder(config) / "states.npy")


@dataclass(frozen=True)
class Bank:
    """Everything the denoiser trains on, in memory as fp16."""

    size: int
    latent: Tensor
    masked: Tensor
    mask: Tensor
    grey: Tensor
    """The masked latents of a picture that is to be made wholly, [1, 4, h, w]."""

    def __len__(self) -> int:
        return len(self.latent)


def load_pictures(config: Config, size: int) -> Bank:
    """The shards of `size` written so far."""
    paths = sorted(path for path in folder(config).glob(f"{size}-*.npz") if ".tmp" not in path.name)
    loaded = [np.load(path) for path in paths]
    planes = {
        name: torch.from_numpy(np.concatenate([part[name] for part in loaded])) for name in ("latent", "masked", "mask")
    }
    return Bank(size, **planes, grey=torch.from_numpy(np.load(folder(config) / f"grey-{size}.npy")))


@dataclass(frozen=True)
class Captions:
    """Encoded captions; `per_picture` rows to a picture, the empty prompt last."""

    states: NDArray[Any]
    pooled: NDArray[Any]
    per_picture: int

    def at(self, rows: NDArray[Any]) -> tuple[Tensor, Tensor]:
        """States [B, T, D] and pooled embeddings [B, P]."""
        return torch.from_numpy(self.states[rows]).float(), torch.from_numpy(self.pooled[rows]).float()


def load_captions(config: Config) -> Captions:
    """The caption bank."""
    record = json.loads((folder(config) / "captions.json").read_text())
    states = np.load(folder(config) / "states.npy", mmap_mode="r")
    return Captions(states, np.load(folder(config) / "pooled.npy"), int(record["per_picture"]))


def main() -> None:
    """Encodes pictures or captions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=0, help="encode pictures at this size")
    parser.add_argument("--text", action="store_true", help="encode captions")
    parser.add_argument("--count", type=int, default=8192)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    loop.start_logging()
    torch.set_num_threads(arguments.threads)
    if arguments.text:
        run_text(Config(), arguments.count)
    if arguments.size:
        run_pictures(Config(), arguments.size, arguments.count)


if __name__ == "__main__":
    main()

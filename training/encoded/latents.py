"""Encodes the training pictures once: latents, masked latents, masks at 1/8; for product masks and stage 1's masks.

`python -m training.encoded.latents --size 128` and `--size 256` write a file for every shard of pictures; both are
resumable.
"""

from __future__ import annotations

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

from training.config import Config
from training.core import loop
from training.data import masks, shards
from training.data.pictures import latent_mask, masked_picture, pictures_to_tensor, product_masks
from training.encoders import vae

log = logging.getLogger(__name__)

RANDOM_EVERY = 4
"""Every fourth picture is also encoded with a mask of another task, for stage 1."""


def folder(config: Config) -> Path:
    """The folder of the encoded shards."""
    path = config.paths.work / "latents"
    path.mkdir(parents=True, exist_ok=True)
    return path


def task_masks(config: Config, product: Tensor, shard: int) -> Tensor:
    """Masks of stage 1's tasks for the pictures of one shard, from their background masks [N, 1, size, size]."""
    rng = loop.generator(config, "latents", shard)
    shares = np.array(config.diffusion.mask_shares[1:])
    kinds = rng.choice(masks.KINDS, size=len(product), p=shares / shares.sum())
    drawn = [masks.draw(str(kind), rng, 1 - one[0].numpy()) for kind, one in zip(kinds, product, strict=True)]
    return torch.from_numpy(np.stack(drawn))[:, None]


@torch.no_grad()
def encode(model: AsymmetricAutoencoderKL, image: Tensor) -> Tensor:
    """The encoder's mean times the scaling factor: [B, 3, H, W] in [-1, 1] to [B, 4, H/8, W/8]."""
    with loop.half_precision():
        pixels = image.to(loop.device()).contiguous(memory_format=torch.channels_last)
        mean = model.encode(pixels).latent_dist.mean
    return torch.as_tensor(mean.float() * float(model.config["scaling_factor"]))


def encode_shard(
    config: Config,
    model: AsymmetricAutoencoderKL,
    images: NDArray[Any],
    products: NDArray[Any],
    shard: int,
    size: int,
) -> None:
    """Writes the latents of one shard, unless the file exists."""
    path = folder(config) / f"{size}-{shard:03d}.npz"
    if path.exists():
        return
    every = product_masks(products[::RANDOM_EVERY])
    random = task_masks(config, avg_pool2d(every, every.shape[-1] // size), shard)
    parts: dict[str, list[Tensor]] = {name: [] for name in ("latent", "masked", "mask", "random_masked", "random_mask")}
    for start in range(0, len(images), 8):
        image = pictures_to_tensor(images[start : start + 8])
        image = avg_pool2d(image, image.shape[-1] // size)
        mask = product_masks(products[start : start + 8])
        mask = avg_pool2d(mask, mask.shape[-1] // size)
        random_part = random[start // RANDOM_EVERY : (start + 8) // RANDOM_EVERY]
        randomly_masked = masked_picture(image[::RANDOM_EVERY], random_part)
        encoded = encode(model, torch.cat([image, masked_picture(image, mask), randomly_masked])).cpu()
        split = torch.split(encoded, [8, 8, len(randomly_masked)])
        for name, value in zip(("latent", "masked", "random_masked"), split, strict=True):
            parts[name].append(value)
        parts["mask"].append(latent_mask(mask))
        parts["random_mask"].append(latent_mask(random_part))
    staging = path.with_suffix(".tmp.npz")
    np.savez(staging, **{name: torch.cat(part).half().numpy() for name, part in parts.items()})
    staging.rename(path)


def run(config: Config, size: int, count: int = 0) -> None:
    """Encodes the first `count` training pictures (0: all) at `size` pixels, and a grey one for text-to-image."""
    model = vae.load(config).to(loop.device(), memory_format=torch.channels_last)
    pictures = shards.load(config, "scene")
    np.save(folder(config) / f"grey-{size}.npy", encode(model, torch.zeros(1, 3, size, size)).cpu().numpy())
    for shard in range(min(len(pictures.images), (count or len(pictures)) // config.data.shard_count)):
        encode_shard(config, model, pictures.images[shard], pictures.masks[shard], shard, size)
        log.info("latents of %d pixels: shard %d", size, shard)


@dataclass(frozen=True)
class LatentSet:
    """All latents of one size, in memory as fp16; pictures are numbered as in the shards."""

    size: int
    latent: Tensor
    masked: Tensor
    mask: Tensor
    random_masked: Tensor
    random_mask: Tensor
    grey: Tensor
    """Masked latents [1, 4, h, w] of a picture without known pixels."""

    def __len__(self) -> int:
        return len(self.latent)


def load(config: Config, size: int) -> LatentSet:
    """The shards of `size` pixels written so far.

    Raises:
        FileNotFoundError: if there are none.
    """
    paths = sorted(path for path in folder(config).glob(f"{size}-*.npz") if ".tmp" not in path.name)
    if not paths:
        raise FileNotFoundError(f"no latents of {size} pixels: run python -m training.encoded.latents --size {size}")
    loaded = [np.load(path) for path in paths]
    names = ("latent", "masked", "mask", "random_masked", "random_mask")
    planes = {name: torch.from_numpy(np.concatenate([part[name] for part in loaded])) for name in names}
    return LatentSet(size, **planes, grey=torch.from_numpy(np.load(folder(config) / f"grey-{size}.npy")))


def main() -> None:
    """Reads the command line and encodes."""
    parser = loop.stage_parser(__doc__)
    parser.add_argument("--size", type=int, default=256, help="side of the pictures, 128 or 256 (default: %(default)s)")
    parser.add_argument("--count", type=int, default=0, help="pictures to encode; 0 is all (default: %(default)s)")
    arguments = parser.parse_args()
    run(loop.chosen_config(arguments), arguments.size, arguments.count)


if __name__ == "__main__":
    main()

"""Encodes the training pictures once: latents, masked latents, masks at 1/8; with a product's and a task's mask each.

`python -m training.encoded.latents --size 128` and `--size 256` write a file for every shard of pictures; both are
resumable.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

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
from training.world.labels import Spec
from training.world.picture import empty_scene

log = logging.getLogger(__name__)

PLANES = ("latent", "masked", "mask", "task_latent", "task_masked", "task_mask")


def folder(config: Config) -> Path:
    """The folder of the encoded shards."""
    path = config.paths.work / "latents"
    path.mkdir(parents=True, exist_ok=True)
    return path


def task_masks(config: Config, products: Tensor, shard: int) -> tuple[NDArray[np.int64], Tensor]:
    """A kind of mask for each picture of a shard [N], and the masks, from background masks `products` [N, 1, H, W]."""
    rng = loop.generator(config, "latents", shard)
    shares = np.array(config.diffusion.mask_shares)
    kinds = rng.choice(len(masks.KINDS), size=len(products), p=shares / shares.sum())
    drawn = [masks.draw(masks.KINDS[kind], rng, 1 - one[0].numpy()) for kind, one in zip(kinds, products, strict=True)]
    return kinds, torch.from_numpy(np.stack(drawn))[:, None]


def without_products(
    images: Tensor, kinds: NDArray[np.int64], specs: Sequence[Spec], size: int
) -> tuple[Tensor, NDArray[np.int64]]:
    """What a hole's picture shows without its product: pictures [M, 3, size, size] and their places in the batch."""
    places = np.flatnonzero(kinds == masks.KINDS.index("hole"))
    if not len(places):
        return images[:0], places
    scenes = np.stack([empty_scene(specs[n].seed, 256, specs[n]) for n in places])
    return avg_pool2d(pictures_to_tensor(scenes), 256 // size), places


@torch.no_grad()
def encode(model: AsymmetricAutoencoderKL, image: Tensor) -> Tensor:
    """The encoder's mean times the scaling factor: [B, 3, H, W] in [-1, 1] to [B, C, H/8, W/8]."""
    with loop.half_precision():
        pixels = image.to(loop.device()).contiguous(memory_format=torch.channels_last)
        mean = model.encode(pixels).latent_dist.mean
    return torch.as_tensor(mean.float() * float(model.config["scaling_factor"]))


def encode_shard(
    config: Config, model: AsymmetricAutoencoderKL, pictures: shards.PictureSet, shard: int, size: int
) -> None:
    """Writes the latents of one shard, unless the file exists."""
    path = folder(config) / f"{size}-{shard:03d}.npz"
    if path.exists():
        return
    count, first = len(pictures.images[shard]), shard * len(pictures.images[0])
    products = product_masks(pictures.masks[shard])
    products = avg_pool2d(products, products.shape[-1] // size)
    kinds, tasks = task_masks(config, products, shard)
    parts: dict[str, list[Tensor]] = {name: [] for name in PLANES}
    for start in range(0, count, 8):
        batch = slice(start, min(start + 8, count))
        image = pictures_to_tensor(pictures.images[shard][batch])
        image = avg_pool2d(image, image.shape[-1] // size)
        specs = [shards.spec_of(row) for row in pictures.rows[first + batch.start : first + batch.stop]]
        empty, places = without_products(image, kinds[batch], specs, size)
        masked, task_masked = masked_picture(image, products[batch]), masked_picture(image, tasks[batch])
        encoded = encode(model, torch.cat([image, masked, task_masked, empty])).cpu()
        plain, masked, task_masked, empty = torch.split(encoded, [len(image)] * 3 + [len(empty)])
        target = plain.clone()
        target[torch.from_numpy(places)] = empty
        planes = (plain, masked, latent_mask(products[batch]), target, task_masked, latent_mask(tasks[batch]))
        for name, plane in zip(PLANES, planes, strict=True):
            parts[name].append(plane)
    staging = path.with_suffix(".tmp.npz")
    np.savez(staging, task_kind=kinds, **{name: torch.cat(part).half().numpy() for name, part in parts.items()})
    staging.rename(path)


def run(config: Config, size: int, count: int = 0) -> None:
    """Encodes the first `count` training pictures (0: all) at `size` pixels, and a grey one for text-to-image."""
    model = vae.load(config).to(loop.device(), memory_format=torch.channels_last)
    pictures = shards.load(config, "scene")
    np.save(folder(config) / f"grey-{size}.npy", encode(model, torch.zeros(1, 3, size, size)).cpu().numpy())
    for shard in range(min(len(pictures.images), (count or len(pictures)) // config.data.shard_count)):
        encode_shard(config, model, pictures, shard, size)
        log.info("latents of %d pixels: shard %d", size, shard)


@dataclass(frozen=True)
class LatentSet:
    """All latents of one size, in memory as fp16; pictures are numbered as in the shards."""

    size: int
    latent: Tensor
    masked: Tensor
    mask: Tensor
    task_latent: Tensor
    """What a task makes of the picture: its latents, for a hole those of the scene without the product."""
    task_masked: Tensor
    task_mask: Tensor
    task_kind: NDArray[np.int64]
    """Numbers in `data.masks.KINDS`."""
    grey: Tensor
    """Masked latents [1, C, h, w] of a picture without known pixels."""

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
    planes = {name: torch.from_numpy(np.concatenate([part[name] for part in loaded])) for name in PLANES}
    kinds = np.concatenate([part["task_kind"] for part in loaded])
    grey = torch.from_numpy(np.load(folder(config) / f"grey-{size}.npy"))
    return LatentSet(size, **planes, task_kind=kinds, grey=grey)


def main() -> None:
    """Reads the command line and encodes."""
    parser = loop.stage_parser(__doc__)
    parser.add_argument("--size", type=int, default=256, help="side of the pictures, 128 or 256 (default: %(default)s)")
    parser.add_argument("--count", type=int, default=0, help="pictures to encode; 0 is all (default: %(default)s)")
    arguments = parser.parse_args()
    run(loop.chosen_config(arguments), arguments.size, arguments.count)


if __name__ == "__main__":
    main()

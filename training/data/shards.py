"""Renders the world into shards: pictures and product masks as uint8 arrays, captions and labels as JSON.

`python -m training.data.shards` renders the missing shards. A shard is written whole or not at all, so a run may be
stopped at any time.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.config import HELD_OUT_SEED, Config
from training.core import loop
from training.world.labels import Spec
from training.world.picture import plain_photo, render

log = logging.getLogger(__name__)

PHOTO_SEED = 5_000_000
"""Seeds of the plain photos for training; held-out ones start at `HELD_OUT_SEED` + this."""


@dataclass(frozen=True)
class Shard:
    """One shard: which seeds it renders, and where it lies."""

    kind: str
    first_seed: int
    count: int
    size: int
    folder: Path

    @property
    def stem(self) -> Path:
        """Path of the shard's files without suffix."""
        return self.folder / f"{self.kind}-{self.first_seed:08d}"


def all_shards(config: Config) -> list[Shard]:
    """The shards of the training set, the photos and both held-out sets."""
    data = config.data
    sets = (
        ("scene", 0, data.train_count),
        ("photo", PHOTO_SEED, data.photo_count),
        ("held", HELD_OUT_SEED, data.held_out_count),
        ("heldphoto", HELD_OUT_SEED + PHOTO_SEED, data.held_out_count // 4),
    )
    return [
        Shard(kind, first + start, min(data.shard_count, count - start), data.size, config.paths.work / "shards")
        for kind, first, count in sets
        for start in range(0, count, data.shard_count)
    ]


def render_shard(shard: Shard) -> Path:
    """Renders a shard unless it exists. Its JSON file is written last and marks it complete."""
    record = shard.stem.with_suffix(".json")
    if record.exists():
        return record
    draw = plain_photo if "photo" in shard.kind else render
    pictures = [draw(seed, shard.size) for seed in range(shard.first_seed, shard.first_seed + shard.count)]
    np.save(f"{shard.stem}.image.npy", np.stack([picture.image for picture in pictures]))
    np.save(f"{shard.stem}.mask.npy", np.stack([picture.product_mask for picture in pictures]))
    rows = [{"caption": p.caption, "background": p.background, **asdict(p.spec)} for p in pictures]
    record.write_text(json.dumps(rows))
    return record


@dataclass(frozen=True)
class PictureSet:
    """All shards of one kind, memory-mapped."""

    images: list[NDArray[Any]]
    masks: list[NDArray[Any]]
    rows: list[dict[str, Any]]

    def __len__(self) -> int:
        return len(self.rows)

    def at(
        self, indices: NDArray[Any], rows: slice = slice(None), columns: slice = slice(None)
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Pictures [B, H, W, 3] and product masks [B, H, W] at `indices`, or a window of them."""
        width = len(self.images[0])
        places = [divmod(int(index), width) for index in indices]
        images, masks = ([planes[s][i][rows, columns] for s, i in places] for planes in (self.images, self.masks))
        return np.stack(images), np.stack(masks)


def spec_of(row: dict[str, Any]) -> Spec:
    """The spec of a shard's row."""
    return Spec(**{key: row[key] for key in Spec.__dataclass_fields__})


def load(config: Config, kind: str) -> PictureSet:
    """Opens the complete shards of `kind` ("scene", "photo", "held" or "heldphoto")."""
    ready = [
        shard.stem for shard in all_shards(config) if shard.kind == kind and shard.stem.with_suffix(".json").exists()
    ]
    if not ready:
        raise FileNotFoundError(f"no shards of kind {kind!r}: run python -m training.data.shards")
    return read(ready)


def read(stems: list[Path]) -> PictureSet:
    """Opens shards, named by the paths of their files without suffix."""
    return PictureSet(
        images=[np.load(f"{stem}.image.npy", mmap_mode="r") for stem in stems],
        masks=[np.load(f"{stem}.mask.npy", mmap_mode="r") for stem in stems],
        rows=[row for stem in stems for row in json.loads(stem.with_suffix(".json").read_text())],
    )


def run(config: Config, processes: int = 0) -> None:
    """Renders the missing shards in `processes` processes; 0 is one per processor."""
    processes = processes or os.cpu_count() or 1
    shards = all_shards(config)
    shards[0].folder.mkdir(parents=True, exist_ok=True)
    if processes == 1:
        for shard in shards:
            render_shard(shard)
        return
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for done, path in enumerate(pool.imap(render_shard, shards), 1):
            log.info("%d/%d shards: %s", done, len(shards), path.name)


if __name__ == "__main__":
    loop.run_stage(__doc__, run)

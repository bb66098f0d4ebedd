"""Wide pictures: scenes in tiles against the bucket's scene, cropped and enlarged.

The orchestrator's stages run in this process (`bench.arms.loop`): what is measured are pictures, and not the cluster.
"""

from __future__ import annotations

import asyncio
import io
import itertools
import os
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from backdrop.contract.geometry import Size
from backdrop.contract.tiling import tiling_of
from backdrop.v1 import generation_service_pb2 as pb
from bench.arms.loop import Loop
from bench.arms.sessions import Sessions
from bench.figures import ROOT, Figure, at_least, at_most
from bench.task_judges import SHORT_TRAINING, SIDE, Bytes, Judges
from training.config import HELD_OUT_SEED
from training.evaluation.statistics import wilson
from training.world.captions import background_prompt
from training.world.labels import draw_spec

COUNT = 24
_SEED = HELD_OUT_SEED + 5_000_000
_SIZE = Size(768, 192)
"""Four times as wide as high: at this size a scene in tiles is not enlarged."""
_Maker = Callable[[str, int, Size], Bytes]
"""Makes a picture of a prompt, a seed and a size."""
_BUCKETS = (Size(256, 256), Size(256, 192), Size(192, 256))
_GREY = 1.0
"""Grey levels squared that are added to each difference, so that flat areas do not decide."""


def tiles(command: str) -> list[Figure]:
    """Prompts that name a scene: how many squares of a picture show it, and whether borders of tiles show."""
    judges, tiling = Judges(), tiling_of(_SIZE, _BUCKETS)
    pictures: dict[str, list[Bytes]] = {"tiled": [], "cropped": []}
    right: dict[str, list[bool]] = {"tiled": [], "cropped": []}
    with asyncio.Runner() as runner:
        make = _maker(runner)
        for seed in range(_SEED, _SEED + COUNT):
            spec = draw_spec(seed)
            prompt = background_prompt(spec, np.random.default_rng(seed))
            for arm, picture in _arms(make, prompt, seed).items():
                right[arm] += [scene == spec.scene for scene in judges.scenes(_squares(picture))]
                pictures[arm].append(picture)
    shares, count = {arm: float(np.mean(each)) for arm, each in right.items()}, len(right["tiled"])
    listed = ", ".join(f"{arm}: {share:.3f} ± {wilson(share, count):.3f}" for arm, share in shares.items())
    spread = f"{listed}; {count} squares of {COUNT} pictures of {_SIZE.width}×{_SIZE.height}"
    borders = sorted({edge for start in tiling.starts for edge in (start, start + tiling.tile.width)})[1:-1]
    halves = [_joined(one, other) for one, other in itertools.pairwise(pictures["tiled"])]
    seams = np.log([seam(picture, borders) for picture in pictures["tiled"]])
    control = np.exp(np.log([seam(picture, [_SIZE.width // 2]) for picture in halves]).mean())
    error = np.exp(seams.std(ddof=1) / np.sqrt(COUNT))
    pasted = (
        f"×÷ {error:.3f}; {control:.1f} where halves of two pictures meet; {COUNT} pictures of {tiling.count} tiles"
    )
    name = "wide pictures: squares whose scene is recognised, in tiles"
    gain = f"{name}, less those of a bucket's scene, cropped and enlarged"
    return [
        Figure(name, round(shares["tiled"], 3), at_least(0.9, SHORT_TRAINING), command, spread),
        Figure(gain, round(shares["tiled"] - shares["cropped"], 3), at_least(0.0), command, spread),
        Figure(
            "wide pictures: gradient energy across borders of tiles ÷ that 2 to 6 columns away",
            round(float(np.exp(seams.mean())), 3),
            at_most(1.1),
            command,
            pasted,
        ),
    ]


def seam(picture: Bytes, borders: Sequence[int]) -> float:
    """Squared differences of neighbouring columns at borders ÷ those 2 to 6 columns away: geometric means.

    Few pixels hold most of a picture's energy, at the edges of things; a geometric mean is not decided by those.
    """
    rows = np.diff(picture.astype(np.float64).mean(axis=2), axis=1)
    energy = np.log(np.square(rows) + _GREY)
    ratios = []
    for border in borders:
        across = border - 1  # the difference between the columns before and behind the border
        beside = np.c_[energy[:, across - 6 : across - 2], energy[:, across + 3 : across + 7]]
        ratios.append(energy[:, across - 1 : across + 2].mean() - beside.mean())
    return float(np.exp(np.mean(ratios)))


def _maker(runner: asyncio.Runner) -> _Maker:
    repository = ROOT / "triton_repo"
    loop = Loop(repository, Sessions(repository, os.cpu_count() or 1))

    def make(prompt: str, seed: int, size: Size) -> Bytes:
        message = pb.GenerateRequest(
            text_to_image=pb.TextToImageTask(),
            conditioning=pb.Conditioning(prompt=prompt),
            sampling=pb.Sampling(pipeline="backdrop", seed=seed),
            delivery=pb.Delivery(size=pb.Size(width=size.width, height=size.height)),
        )
        data = runner.run(loop.generate(message.SerializeToString()))
        with Image.open(io.BytesIO(data)) as picture:
            return np.asarray(picture)

    return make


def _arms(make: _Maker, prompt: str, seed: int) -> dict[str, Bytes]:
    """The picture in tiles; and what a bucket's scene of the same prompt and seed shows at its middle, enlarged."""
    whole = make(prompt, seed, Size(_SIZE.width, _SIZE.width * 3 // 4))
    top = (whole.shape[0] - _SIZE.height) // 2
    return {"tiled": make(prompt, seed, _SIZE), "cropped": whole[top : top + _SIZE.height]}


def _squares(picture: Bytes) -> list[Bytes]:
    """As many squares as lie side by side in a wide picture, at the size that the judge sees."""
    side = picture.shape[0]
    squares = [picture[:, left : left + side] for left in range(0, picture.shape[1] - side + 1, side)]
    return [np.asarray(Image.fromarray(each).resize((SIDE, SIDE), Image.Resampling.LANCZOS)) for each in squares]


def _joined(one: Bytes, other: Bytes) -> Bytes:
    """The left half of one picture and the right half of another."""
    half = one.shape[1] // 2
    return np.concatenate([one[:, :half], other[:, half:]], axis=1)

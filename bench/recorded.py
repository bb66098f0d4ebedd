"""`python -m bench.recorded`: digests of the pictures of fixed background requests, recorded here and compared later.

`record` starts the local cluster and writes the SHA-256 of every picture's bytes; `compare` does the same and counts
the pictures whose bytes differ from a recording. Bytes depend on the processor, so both must run on one machine. The
script reads the SDK's call at run time (`backdrop.Background` or the photo itself), so that it can also record from a
checkout whose contract is older: `PYTHONPATH=. python <this file> record --out FILE` in that checkout.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

import backdrop
from local.cluster import Cluster, Options

_WIDTH, _HEIGHT = 192, 128
Bytes = npt.NDArray[np.uint8]
Pictures = dict[str, list[str]]
"""SHA-256 of each picture's bytes, best picture first, by the request's name."""


def _photo(seed: int = 3) -> Bytes:
    rows, columns = np.mgrid[0:_HEIGHT, 0:_WIDTH]
    waves = np.stack([rows * 2 + seed * 9, columns, rows + columns], -1) % 256
    noise = np.random.default_rng(seed).integers(0, 32, (_HEIGHT, _WIDTH, 3))
    photo: Bytes = np.clip(waves + noise, 0, 255).astype(np.uint8)
    return photo


def _mask(*, soft: bool) -> Bytes:
    rows, columns = np.mgrid[0:_HEIGHT, 0:_WIDTH]
    distance = ((rows - 66) / 40) ** 2 + ((columns - 90) / 48) ** 2
    edge = np.clip((1.15 - distance) / 0.3, 0, 1) if soft else distance <= 1
    mask: Bytes = np.rint(np.asarray(edge, np.float64) * 255).astype(np.uint8)
    return mask


def _requests() -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    """Name, what belongs to the task, and the options of every request."""
    hard, soft = _mask(soft=False), _mask(soft=True)
    base: dict[str, Any] = {"prompt": "a beach at sunset", "seed": 11, "steps": 6}
    style = [backdrop.StyleImage(Image.fromarray(_photo(5)), 1.0), backdrop.StyleImage(Image.fromarray(_photo(8)), 0.5)]
    yield "hard mask", {"mask": hard}, base
    yield "soft mask", {"mask": soft}, {**base, "variants": 3, "top_k": 2}
    yield "no mask", {}, {**base, "prompt": "a forest in the morning"}
    yield "defaults of the pipeline", {"mask": hard}, {"prompt": "a wooden table", "seed": 2}
    yield "style pictures", {"mask": soft}, {**base, "prompt": "", "style_images": style, "image_scale": 0.8}
    yield "drafts", {"mask": hard}, {**base, "variants": 4, "top_k": 2, "early_dropping": _drafts()}
    yield "rounds", {"mask": hard}, {**base, "variants": 4, "top_k": 1, "early_dropping": _rounds()}
    yield "guidance window", {"mask": hard}, {**base, "guidance_window": (0.0, 0.6), "negative_prompt": "people"}
    yield "fit", {"mask": soft, "placement": backdrop.Fit(0.1, "left", "bottom")}, {**base, "output_size": (320, 256)}
    yield "box", {"mask": hard, "placement": backdrop.Box(40, 30, 120, 90)}, {**base, "output_size": (256, 384)}
    yield "JPEG, euler", {"mask": soft}, {**base, "scheduler": "euler", "output_format": "jpeg", "guidance_scale": 1.0}
    yield "WebP, ddpm", {"mask": hard}, {**base, "scheduler": "ddpm", "output_format": "webp"}
    yield "backdrop-fast", {"mask": soft}, {"prompt": "a beach", "seed": 4, "pipeline": "backdrop-fast", "variants": 2}
    yield "backdrop-dit", {"mask": hard}, {"prompt": "a beach", "seed": 4, "pipeline": "backdrop-dit", "steps": 8}


def _drafts() -> Any:
    return backdrop.EarlyDropping(keep=2, draft_steps=2)


def _rounds() -> Any:
    return [backdrop.EarlyDropping(keep=3, after=0.34), backdrop.EarlyDropping(keep=2, after=0.67)]


def record() -> Pictures:
    """Makes every request's pictures on a cluster of its own, and returns their digests."""
    digests: Pictures = {}
    with (
        tempfile.TemporaryDirectory() as logs,
        Cluster(Options(log_folder=Path(logs), port=0)) as cluster,
        backdrop.Client(cluster.endpoints.orchestrator) as client,
    ):
        for name, of_task, options in _requests():
            result = _generate(client, of_task, options)
            digests[name] = [hashlib.sha256(picture.data).hexdigest() for picture in result.pictures]
    return digests


def _generate(client: Any, of_task: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    if hasattr(backdrop, "Background"):
        return client.generate(backdrop.Background(_photo(), **of_task), **options).result()
    return client.generate(_photo(), **of_task, **options).result()


def differing(before: Pictures, now: Pictures) -> int:
    """How many pictures differ, or are in only one of the two recordings."""
    count = 0
    for name in before | now:
        old, new = before.get(name, []), now.get(name, [])
        count += abs(len(old) - len(new)) + sum(one != other for one, other in zip(old, new, strict=False))
    return count


def main() -> int:
    """Records or compares; the exit status is 1 where pictures differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=("record", "compare"))
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the recording")
    options = parser.parse_args()
    now = record()
    if options.step == "record":
        options.out.write_text(json.dumps(now, indent=1) + "\n")
        print(f"{sum(map(len, now.values()))} pictures of {len(now)} requests recorded")  # noqa: T201
        return 0
    before = json.loads(options.out.read_text())
    for name in before:
        print(f"{name}: {'same' if before[name] == now.get(name) else 'DIFFERS'}")  # noqa: T201
    count = differing(before, now)
    print(f"{count} of {sum(map(len, before.values()))} pictures differ")  # noqa: T201
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())

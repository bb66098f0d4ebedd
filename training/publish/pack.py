"""Packs a training for its way to another machine: `python -m training.publish.pack --work FOLDER --out FOLDER`.

The weights folders, and of each stage's checkpoint everything but the optimisers, in fp16, in parts of 15 MB;
`--unpack` writes them back, and the training continues from there.
"""

from __future__ import annotations

import argparse
import io
import logging
import tarfile
from pathlib import Path
from typing import Any

import torch

log = logging.getLogger(__name__)

PART_BYTES = 15_000_000
CHECKPOINT = "checkpoint.pt"
BESIDE = ("encoder.pt", "decoder.pt", "scale.json")
"""What stages write beside their checkpoints and later stages read."""


def _half(value: Any) -> Any:
    """The same structure of tensors with fp32 as fp16."""
    if isinstance(value, torch.Tensor):
        return value.half() if value.dtype == torch.float32 else value
    if isinstance(value, dict):
        return {key: _half(entry) for key, entry in value.items()}
    return value


def _whole(value: Any) -> Any:
    """The same structure of tensors with fp16 as fp32."""
    if isinstance(value, torch.Tensor):
        return value.float() if value.dtype == torch.float16 else value
    if isinstance(value, dict):
        return {key: _whole(entry) for key, entry in value.items()}
    return value


def _serialised(path: Path) -> bytes:
    """A checkpoint without optimisers. Where it has an average, that stands for the live weights too."""
    state = torch.load(path, weights_only=True, map_location="cpu")
    kept = {name: part for name, part in state.items() if "optimiser" not in name}
    if "average" in kept and "network" in kept:
        del kept["network"]
    buffer = io.BytesIO()
    torch.save(_half(kept), buffer)
    return buffer.getvalue()


def pack(work: Path, out: Path, part_bytes: int = PART_BYTES) -> list[Path]:
    """Writes `work`'s weights and checkpoints to parts of an archive in `out`; returns their paths."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for checkpoint in sorted(work.glob(f"*/{CHECKPOINT}")):
            data = _serialised(checkpoint)
            entry = tarfile.TarInfo(str(checkpoint.relative_to(work)))
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
        for path in sorted([*(p for name in BESIDE for p in work.glob(f"*/{name}")), *work.glob("tokenizer/*")]):
            archive.add(path, str(path.relative_to(work)))
        if (work / "weights").exists():
            archive.add(work / "weights", "weights")
    out.mkdir(parents=True, exist_ok=True)
    data, paths = buffer.getvalue(), []
    for number, start in enumerate(range(0, len(data), part_bytes)):
        paths.append(out / f"training.tar.gz.{number:02d}")
        paths[-1].write_bytes(data[start : start + part_bytes])
    log.info("%d bytes in %d parts in %s", len(data), len(paths), out)
    return paths


def unpack(parts: Path, work: Path) -> None:
    """Writes the archive of `pack` back; live weights that were left out start from their averages."""
    data = b"".join(path.read_bytes() for path in sorted(parts.glob("training.tar.gz.*")))
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
        archive.extractall(work, filter="data")
    for path in work.glob(f"*/{CHECKPOINT}"):
        state = _whole(torch.load(path, weights_only=True, map_location="cpu"))
        if "average" in state and "network" not in state:
            state["network"] = dict(state["average"]["weights"])
        torch.save(state, path)


def main() -> None:
    """Reads the command line; packs or unpacks."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder of the training")
    parser.add_argument("--out", type=Path, required=True, help="folder of the parts")
    parser.add_argument("--unpack", action="store_true", help="write the parts back to the folder of the training")
    arguments = parser.parse_args()
    if arguments.unpack:
        unpack(arguments.out, arguments.work)
    else:
        pack(arguments.work, arguments.out)


if __name__ == "__main__":
    main()

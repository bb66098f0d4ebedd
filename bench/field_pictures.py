"""The picture corpus: files whose pixels or alpha differ from the PNG specification, and raw exceptions."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from backdrop._pictures import encode_picture
from backdrop.contract.masks import read_mask
from backdrop.contract.pictures import decode_photo
from backdrop.contract.products import FIRST, check_product
from backdrop.errors import BackdropError
from bench.figures import Figure, at_most
from tests.field import files
from tests.field.png import kinds, make
from tests.field.test_png_corpus import FORBIDDEN
from tests.field.test_sources import BROKEN

_FIELD, _MOST = "background.product", 16_000_000
_DAMAGES = 16
"""Places at which each file is altered, and cut off."""


def pictures(command_line: str) -> list[Figure]:
    """Decodes every kind of PNG; those that the specification forbids have to be refused."""
    corpus = list(kinds())
    different = [str(kind) for kind in corpus if _differs(*make(kind))]
    different += [
        name for name, file in FORBIDDEN.items() if _outcome(functools.partial(_forbidden, file)) != "refused"
    ]
    name, spread = "picture corpus: files that differ from the specification", f"of {len(corpus) + len(FORBIDDEN)} PNGs"
    return [Figure(name, len(different), at_most(0, ", ".join(different[:5])), command_line, spread)]


def raw_exceptions(command_line: str) -> list[Figure]:
    """Reads the whole corpus, whole and damaged, and everything that a Python caller may pass."""
    count, raw = 0, []
    for name, call in _calls():
        count += 1
        outcome = _outcome(call)
        if outcome not in ("read", "refused"):
            raw.append(f"{name}: {outcome}")
    name, spread = "picture corpus: raw exceptions, outside backdrop.errors", f"of {count} pictures, masks and objects"
    return [Figure(name, len(raw), at_most(0, ", ".join(raw[:5])), command_line, spread)]


def _differs(data: bytes, expected: np.ndarray[Any, np.dtype[np.uint8]]) -> bool:
    photo = _photo(data)
    alpha = np.full(expected.shape[:2], 255, np.uint8) if photo.alpha is None else photo.alpha
    return not (np.array_equal(photo.rgb, expected[..., :3]) and np.array_equal(alpha, expected[..., 3]))


def _photo(data: bytes) -> Any:
    return decode_photo(data, max_pixels=_MOST, field=_FIELD)


def _calls() -> Iterator[tuple[str, Callable[[], object]]]:
    """Everything that is read: as a product, and as a mask of itself."""
    corpus = {name: file() for name, file in files.FILES.items()} | {str(kind): make(kind)[0] for kind in kinds()}
    for name, data in corpus.items():
        for number, damaged in enumerate([data, *_damaged(data)]):
            yield f"{name} {number}", functools.partial(_as_product, damaged)
    for name, source in BROKEN.items():
        yield name, functools.partial(_as_source, source)


def _forbidden(file: Callable[[], bytes]) -> None:
    _photo(file())


def _as_source(source: Callable[[], Any]) -> None:
    encode_picture(source(), _FIELD)


def _as_product(data: bytes) -> None:
    photo = _photo(data)
    for mask in (b"", data):
        matte = read_mask(mask, photo, max_pixels=_MOST, task="background", picture="product")
        check_product(FIRST, matte.values, matte.source, alone=True)


def _damaged(data: bytes) -> Iterator[bytes]:
    """The file with bytes altered, and cut off, at places that its length gives."""
    random = np.random.default_rng(len(data))
    for place in random.integers(0, len(data), _DAMAGES):
        yield data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :]
        yield data[:place]


def _outcome(call: Callable[[], object]) -> str:
    try:
        call()
    except BackdropError:
        return "refused"
    except Exception as problem:  # what is counted
        return repr(problem)
    return "read"

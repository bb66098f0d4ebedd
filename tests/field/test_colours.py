"""Pictures for print: CMYK files are converted by their press's profile, whichever way they arrive."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from backdrop.contract.pictures import Photo, decode_photo
from backdrop.errors import InvalidRequestError
from tests.field import files
from tests.field.test_sources import arrive, opened

FIELD = "background.product"


def srgb_of_lab(light: float, a: float, b: float) -> np.ndarray[Any, Any]:
    """Lab under D50 as sRGB of 8 bits: CIE 15, Bradford's adaptation to D65, IEC 61966-2-1. Colours are clipped."""
    f = np.array([(light + 16) / 116 + a / 500, (light + 16) / 116, (light + 16) / 116 - b / 200])
    xyz = np.where(f > 6 / 29, f**3, (f - 4 / 29) * 3 * (6 / 29) ** 2) * [0.9642, 1, 0.8249]
    to_srgb = [
        [3.1338561, -1.6168667, -0.4906146],
        [-0.9787684, 1.9161415, 0.033454],
        [0.0719453, -0.2289914, 1.4052427],
    ]
    linear = np.clip(np.array(to_srgb) @ xyz, 0, 1)
    return np.round(255 * np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear))


def decoded(data: bytes) -> Photo:
    return decode_photo(data, max_pixels=10**6, field=FIELD)


def as_tiff_in_memory() -> Image.Image:
    """A picture of Pillow's that no file of ours can hold: it is converted before it is sent."""
    buffer = io.BytesIO()
    files.cmyk_patches().save(buffer, "TIFF", icc_profile=files.cmyk_profile())
    return opened(buffer.getvalue())


WAYS: dict[str, Callable[[], Photo]] = {
    "a file": lambda: decoded(files.cmyk_with_profile()),
    "a PIL picture of a JPEG": lambda: arrive(opened(files.cmyk_with_profile())),
    "a PIL picture of a TIFF": lambda: arrive(as_tiff_in_memory()),
}


@pytest.mark.row("wide-gamut")
@pytest.mark.parametrize("way", WAYS)
def test_cmyk_with_a_profile_has_the_colours_of_its_press(way: str) -> None:
    photo = WAYS[way]()
    for number, ink in enumerate(("paper", "cyan", "magenta", "yellow")):
        patch = photo.rgb[8, 16 * number + 8].astype(int)
        # Values that sRGB does not have are clipped by either side at its own place.
        inside = (srgb_of_lab(*files.INKS[ink]) > 0) & (srgb_of_lab(*files.INKS[ink]) < 255)
        assert np.abs(patch - srgb_of_lab(*files.INKS[ink]))[inside].max(initial=0) <= 4, (ink, patch)
    assert photo.rgb[8, 8].min() >= 253
    naive = np.asarray(files.cmyk_patches().convert("RGB"))
    assert np.abs(photo.rgb.astype(int) - naive).max() > 60, "Pillow's own conversion knows no press"


@pytest.mark.row("wide-gamut")
def test_the_warning_says_that_a_press_profile_was_used_and_a_damaged_one_was_not() -> None:
    assert "PROFILE_CONVERTED" in str(decoded(files.cmyk_with_profile()).warnings)
    broken = files.cmyk_with_profile().replace(b"mft1", b"mftx")
    assert "PROFILE_IGNORED" in str(decoded(broken).warnings)
    assert np.array_equal(decoded(broken).rgb[8, 24], np.array([0, 255, 255], np.uint8))


@pytest.mark.row("wide-gamut")
def test_a_press_profile_in_a_picture_of_rgb_is_ignored_with_a_warning() -> None:
    buffer = io.BytesIO()
    Image.fromarray(files.PHOTO).save(buffer, "PNG", icc_profile=files.cmyk_profile())
    photo = decoded(buffer.getvalue())
    assert np.array_equal(photo.rgb, files.PHOTO)
    assert "PROFILE_IGNORED" in str(photo.warnings)


@pytest.mark.row("png-transparency")
@pytest.mark.parametrize("kind", ["GIF", "TIFF", "BMP", "ICO", "PPM", "TGA", "JPEG2000", "AVIF", "PDF"])
def test_other_formats_are_refused_by_name(kind: str) -> None:
    buffer = io.BytesIO()
    Image.fromarray(files.PHOTO).save(buffer, kind)
    with pytest.raises(InvalidRequestError, match="is not a PNG, JPEG or WebP picture"):
        decoded(buffer.getvalue())

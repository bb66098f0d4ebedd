"""Pictures in Python to encoded bytes: files as they are, PIL images and arrays as PNG, without loss of what they say.

A PIL image is sent with its orientation, profile and transparency, so that the server treats it as the file.
"""

from __future__ import annotations

import dataclasses
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backdrop._types import ImageSource
from backdrop.contract.limits import MAX_PICTURE_BYTES
from backdrop.errors import BackdropError, Reason, error

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

_ORIENTATION = 0x0112
_SOURCES = "must be bytes, a path, a PIL image or a uint8 array"


@dataclasses.dataclass(frozen=True)
class Mode:
    """How PIL images of one mode are sent."""

    convert: Callable[[Image.Image], Image.Image]
    meaning: str
    """For the docs."""


def encode_picture(source: ImageSource, field: str) -> bytes:
    """Encoded bytes of a picture.

    Raises:
        InvalidRequestError: the file cannot be read, the image is closed, cut off or has no pixels, or the value is no
            picture at all; `field` is named.
    """
    try:
        return _encoded(source, field)
    except BackdropError:
        raise
    except Exception as problem:  # whatever a closed, cut or exotic object raises, the caller gets our error
        raise _refusal(field, f"cannot be read as a picture: {problem or type(problem).__name__}") from None


def _encoded(source: ImageSource, field: str) -> bytes:
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source)
    if isinstance(source, str | os.PathLike):
        return _read(source, field)
    # Imported late: only callers who pass images or arrays need both, and they have them already.
    import numpy as np
    from PIL import Image

    if isinstance(source, Image.Image):
        return _png(source, field)
    if hasattr(source, "__array_interface__"):
        return _png(_from_array(np.asarray(source), field), field)
    if hasattr(source, "read"):
        raise _refusal(field, f"{_SOURCES}, not a file object; send what its read() returns")
    raise _refusal(field, f"{_SOURCES}, not {type(source).__name__}")


def _read(source: str | os.PathLike[str], field: str) -> bytes:
    try:
        with Path(source).open("rb") as file:
            # One byte more than is allowed: the server refuses it, and no file fills the memory.
            return file.read(MAX_PICTURE_BYTES + 1)
    except (OSError, ValueError, TypeError) as exc:
        why = exc.strerror if isinstance(exc, OSError) and exc.strerror else "not a path"
        raise _refusal(f"{field}: cannot read the file {os.fspath(source)!r}:", why, field) from None


def _from_array(array: np.ndarray[Any, np.dtype[Any]], field: str) -> Image.Image:
    import numpy as np
    from PIL import Image

    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.dtype == np.bool_ and array.ndim == 2:
        array = array.astype(np.uint8) * 255
    grey_or_colour = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))
    if array.dtype != np.uint8 or not grey_or_colour or 0 in array.shape:
        raise _refusal(
            field,
            "an array must be uint8 of shape (height, width), (height, width, 3) or (height, width, 4), or a mask of"
            f" bool; this one is {array.dtype} of shape {array.shape}",
        )
    return Image.fromarray(np.ascontiguousarray(array))


def _png(image: Image.Image, field: str) -> bytes:
    from PIL.PngImagePlugin import PngInfo

    from backdrop.contract.files.exif import UPRIGHT
    from backdrop.contract.files.png import TURNED

    if getattr(image, "is_animated", False) and image.format not in _STILLS:
        raise _refusal(field, "is an animation; send a copy() of the frame that you mean")
    if 0 in image.size:
        raise _refusal(field, "has no pixels")
    mode = MODES.get(image.mode)
    if mode is None:
        raise _refusal(field, f"is a PIL image of mode {image.mode}, which is not taken; convert it to RGB or RGBA")
    if _hides_low_bytes(image):
        what = "is a 16-bit PNG with a transparent colour, of which Pillow keeps the upper bytes; send the file itself"
        raise _refusal(field, what)
    image.load()
    sent = _with_file_transparency(mode.convert(image))
    options: dict[str, Any] = {}
    # Saving drops the EXIF block, so its orientation is applied first; the server compares it with the mask's.
    if (orientation := _orientation(image)) > 1:
        sent = sent.transpose(UPRIGHT[orientation])
        options["pnginfo"] = PngInfo()
        options["pnginfo"].add(TURNED, bytes([orientation]))
    if image.mode not in _PROFILED:
        options["icc_profile"] = b""  # the profile describes other channels than those that are sent
    buffer = io.BytesIO()
    sent.save(buffer, "PNG", compress_level=1, **options)  # the way to the server is short; packing takes longer
    return buffer.getvalue()


_STILLS = ("MPO", "TIFF", "ICO")
"""Files of several stills; the picture that the PIL image shows is sent."""
_PROFILED = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16", "PA", "La", "RGBa", "RGBX")
"""Modes whose channels are sent as they are, so that the image's colour profile still describes them."""


def _orientation(image: Image.Image) -> int:
    try:
        value = int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # Pillow raises many kinds of errors on odd EXIF blocks; such a picture is upright
        return 1
    return value if 1 <= value <= 8 else 1


def _hides_low_bytes(image: Image.Image) -> bool:
    """Whether an RGB image lacks the bytes that its transparent colour must be compared with."""
    colour = image.info.get("transparency")
    if image.mode != "RGB" or not isinstance(colour, tuple):
        return False
    # What is to be loaded still says how it is stored; afterwards only a colour beyond 8 bits does.
    return max(colour) > 255 or any("16" in str(tile[3]) for tile in getattr(image, "tile", ()))


def _with_file_transparency(image: Image.Image) -> Image.Image:
    """Corrects the transparent grey of PNG files of 2 or 4 bits: Pillow scales their pixels, and not that value."""
    colour = image.info.get("transparency")
    if image.mode == "L" and isinstance(colour, int) and 0 < colour < 16:
        levels = {value for _, value in image.getcolors() or ()}
        factor = 85 if colour < 4 and levels <= set(range(0, 256, 85)) else 17
        if levels <= set(range(0, 256, factor)):
            image = image.copy()
            image.info["transparency"] = colour * factor
    return image


def _as_is(image: Image.Image) -> Image.Image:
    return image


def _to(mode: str) -> Callable[[Image.Image], Image.Image]:
    return lambda image: image.convert(mode)


def _sixteen_bits(image: Image.Image) -> Image.Image:
    import numpy as np
    from PIL import Image

    return Image.fromarray(np.asarray(image).astype("<u2"))


def _by_range(image: Image.Image) -> Image.Image:
    """Grey of 32 bits has no range of its own: its largest value tells which one is meant."""
    import numpy as np
    from PIL import Image

    values = np.asarray(image, np.float64)
    if not np.isfinite(values).all() or values.min() < 0 or values.max() > 65535:
        raise ValueError("values must be finite, from 0 to 1, to 255 or to 65535")
    if image.mode == "F" and values.max() <= 1:
        values = values * 255
    elif values.max() > 255:
        return Image.fromarray(np.rint(values).astype(np.uint16))
    return Image.fromarray(np.rint(values).astype(np.uint8))


def _from_lab(image: Image.Image) -> Image.Image:
    from PIL import ImageCms

    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
    assert converted is not None, "not in place"
    return converted


def _from_cmyk(image: Image.Image) -> Image.Image:
    from backdrop.contract.colour import srgb_conversion

    convert, _ = srgb_conversion(image.info.get("icc_profile", b""), image.mode)
    return convert(image).convert("RGB")


MODES: dict[str, Mode] = {
    **{mode: Mode(_as_is, "as it is") for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")},
    "PA": Mode(_to("RGBA"), "as RGBA"),
    "La": Mode(_to("LA"), "as LA, divided by its alpha"),
    "RGBa": Mode(_to("RGBA"), "as RGBA, divided by its alpha"),
    "RGBX": Mode(_to("RGB"), "as RGB"),
    **{mode: Mode(_sixteen_bits, "as 16-bit grey") for mode in ("I;16L", "I;16B", "I;16N")},
    "I": Mode(_by_range, "as grey: 8 bits if no value is above 255, else 16 bits, to 65535"),
    "F": Mode(_by_range, "as grey: 0 to 1 if no value is above 1, else as I"),
    "CMYK": Mode(_from_cmyk, "as RGB, by its profile if it has one"),
    "YCbCr": Mode(_to("RGB"), "as RGB"),
    "HSV": Mode(_to("RGB"), "as RGB"),
    "LAB": Mode(_from_lab, "as RGB"),
}
"""How PIL images are sent, by their mode; docs/inputs.md lists it."""


def _refusal(subject: str, problem: str, field: str = "") -> BackdropError:
    return error(Reason.INVALID_PICTURE, f"{subject} {problem}.", field=field or subject)

"""The secrets, the forms in which they could show up, and pictures whose metadata and pixels hold some of them."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from PIL import Image, ImageCms, PngImagePlugin

COLOUR = (201, 17, 93)
"""Of every pixel of the product: no other number of the tests is near."""
SECRETS: Mapping[str, str] = {
    "prompt": "PrOmPt7f3c9d1eA0b52",
    "negative prompt": "NeGaTiVe5b8e2a60c74",
    "metadata": "ExIfXmP91d04ce7b38a6",
    "bearer token": "BeArEr0e6ab8d275f41",
    "wrong token": "WrOnGtOkEnc35f19d08b",
    "idempotency key": "IdEmPkEy48a7f20be6d9",
    "redis password": "ReDiSpWd6c1be95d0738",
}
KEY, WRONG_KEY, WRONG_JWT = (
    f"bdk_shop.{SECRETS['bearer token']:_<43}",
    f"bdk_shop.{SECRETS['wrong token']:_<43}",
    f"eyJhbGciOiJFUzI1NiJ9.{SECRETS['wrong token']}.{SECRETS['wrong token']}",
)
FOREIGN = "ForeignText/opt/tritonserver/models/secret.py"
"""In the errors of Triton and Redis: callers never see it."""
PRIVATE = (FOREIGN[:20], "/opt/tritonserver", "Traceback", '.py"', "tokenizer.json", "127.0.0.1", "redis")
"""What says something about the inside of the server: callers never see it either."""
_PIECE = 12
"""Characters of a secret that count as the secret: texts may be cut."""


def _forms(secret: str) -> Iterator[bytes]:
    for piece in (secret[:_PIECE], secret[-_PIECE:]):
        raw = piece.encode()
        yield from (raw, raw.hex().encode(), piece.lower().encode(), piece.upper().encode())
        for shift in range(3):  # in base64 a text has three forms, by its place
            text = base64.b64encode(b"\0" * shift + raw)
            yield text[4 if shift else 0 : -4]


_NEEDLES = {name: tuple(_forms(secret)) for name, secret in SECRETS.items()}
_R, _G, _B = COLOUR
_SEPARATOR = rb"[\s,\[\]()]+"
_PIXELS = re.compile(
    b"|".join(
        [
            re.escape(bytes(COLOUR) * 2),  # as bytes
            _SEPARATOR.join(b"%d" % each for each in COLOUR),  # as numbers of an array [H, W, 3] …
            _SEPARATOR.join([b"%d" % _R] * 4),  # … or [3, H, W] …
            re.escape(b"%.5f" % (_R / 127.5 - 1))[:-1],  # … or scaled to −1…1
            re.escape(b"%.5f" % (_B / 127.5 - 1))[:-1],
        ]
    )
)


def search(sinks: Mapping[str, bytes]) -> list[str]:
    """Which secrets are in which sinks."""
    hits = []
    for sink, data in sinks.items():
        hits += [f"{name} in {sink}" for name, forms in _NEEDLES.items() if any(form in data for form in forms)]
        hits += [f"pixels in {sink}"] if _PIXELS.search(data) else []
    return hits


def search_private(texts: Iterable[bytes]) -> list[str]:
    """What of the inside of the server is in texts that callers see."""
    return [f"{needle} in {text!r}" for text in texts for needle in PRIVATE if needle.encode() in text]


def product(kind: str = "PNG", size: tuple[int, int] = (64, 64)) -> bytes:
    """A picture of one colour whose metadata, of every sort that the format has, holds a secret."""
    image, buffer, secret = Image.new("RGB", size, COLOUR), io.BytesIO(), SECRETS["metadata"]
    exif = Image.Exif()
    for tag in (0x010E, 0x010F, 0x013B, 0x8298):  # description, maker, artist, copyright
        exif[tag] = secret
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    xmp = f"<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf>{secret}</rdf></x:xmpmeta>".encode()
    if kind == "PNG":
        text = PngImagePlugin.PngInfo()
        text.add_text("Author", secret)
        text.add_text("Comment", secret, zip=True)
        text.add_itxt("XML:com.adobe.xmp", xmp.decode())
        image.save(buffer, "PNG", exif=exif, icc_profile=profile, pnginfo=text)
    elif kind == "JPEG":
        image.save(buffer, "JPEG", exif=exif, icc_profile=profile, xmp=xmp, comment=secret, quality=95)
    else:
        image.save(buffer, "WEBP", exif=exif, icc_profile=profile, xmp=xmp, lossless=True)
    return buffer.getvalue()


def mask(size: tuple[int, int] = (64, 64)) -> bytes:
    """The middle of the product, with metadata."""
    values = np.zeros(size[::-1], np.uint8)
    values[16:48, 16:48] = 255
    text, buffer = PngImagePlugin.PngInfo(), io.BytesIO()
    text.add_text("Author", SECRETS["metadata"])
    Image.fromarray(values).save(buffer, "PNG", pnginfo=text)
    return buffer.getvalue()


def metadata_of(picture: bytes) -> dict[str, object]:
    """What a delivered picture says besides its pixels; empty if it says nothing."""
    image = Image.open(io.BytesIO(picture))
    image.load()
    own = {"jfif", "jfif_version", "jfif_unit", "jfif_density", "loop", "background", "timestamp", "duration"}
    said: dict[str, object] = {str(name): value for name, value in image.info.items() if name not in own}
    return said | {str(tag): value for tag, value in image.getexif().items()}

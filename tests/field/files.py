"""The files of the corpus, each made from nothing by the function that says how. `python -m tests.field.files FOLDER`.

Tests call the functions; the command writes the files, to be looked at or sent elsewhere.
"""

from __future__ import annotations

import io
import struct
import sys
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, ImageFilter

from tests.pictures import ellipse_mask, encoded, noisy_photo

Bytes = npt.NDArray[np.uint8]
WIDTH, HEIGHT = 96, 64
PHOTO = np.array(
    Image.fromarray(noisy_photo(WIDTH // 8, HEIGHT // 8)).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
)
"""Smooth colours, so that lossy codecs keep them."""
MASK = ellipse_mask(WIDTH, HEIGHT)
SOFT_MASK = ellipse_mask(WIDTH, HEIGHT, soft=True)
PNG = b"\x89PNG\r\n\x1a\n"
ORIENTATION = 0x0112


def chunk(kind: bytes, body: bytes) -> bytes:
    """A PNG chunk."""
    return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")


def with_chunks(png: bytes, *chunks: bytes) -> bytes:
    """A PNG with further chunks after its header."""
    return png[:33] + b"".join(chunks) + png[33:]


def segment(marker: int, body: bytes) -> bytes:
    """A JPEG segment."""
    return bytes((0xFF, marker)) + (len(body) + 2).to_bytes(2, "big") + body


def with_segments(jpeg: bytes, *segments: bytes) -> bytes:
    """A JPEG with further segments after its start."""
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


def jpeg(array: Bytes, quality: int = 90) -> bytes:
    """The array as a JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()


def exif(*entries: tuple[int, int, int, bytes], order: str = "<", count: int | None = None) -> bytes:
    """An EXIF block of one directory: (tag, type, count, four bytes of value or offset) for each entry."""
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8)
    body = struct.pack(f"{order}H", len(entries) if count is None else count)
    for tag, kind, number, value in entries:
        body += struct.pack(f"{order}HHI", tag, kind, number) + value
    return b"Exif\0\0" + head + body + bytes(4)


def orientation_entry(value: int, kind: int = 3, order: str = "<") -> tuple[int, int, int, bytes]:
    """The orientation as a number of the TIFF type `kind`."""
    formats = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i"}
    return ORIENTATION, kind, 1, struct.pack(f"{order}{formats[kind]}", value).ljust(4, b"\0")


def with_exif(picture: bytes, block: bytes) -> bytes:
    """A JPEG with an EXIF block."""
    return with_segments(picture, segment(0xE1, block))


def mpo(first: Bytes = PHOTO) -> bytes:
    """A phone's JPEG with a second, smaller picture after the first, and the index that says so (MPF)."""
    buffer = io.BytesIO()
    small = Image.fromarray(first).resize((16, 12))
    Image.fromarray(first).save(buffer, "MPO", save_all=True, append_images=[small], quality=90, subsampling=0)
    return buffer.getvalue()


def text_resolution() -> bytes:
    """A JPEG to be turned by 90°, whose EXIF says the resolution in words instead of as a fraction."""
    entries = (orientation_entry(6), (0x011A, 2, 3, b"72\0\0"))
    return with_exif(jpeg(PHOTO), exif(*entries))


def long_xmp() -> bytes:
    """A PNG whose XMP is 2 MiB of text once it is unpacked."""
    text = b"<x:xmpmeta>" + b" keyword" * (1 << 18) + b"</x:xmpmeta>"
    return with_chunks(encoded(PHOTO), chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(text, 9)))


def zero_one() -> bytes:
    """A mask of class numbers: 1 = product."""
    return encoded((MASK // 255).astype(np.uint8))


def residue() -> bytes:
    """A cut-out with a soft edge, and alpha 1 and 2 in two far corners."""
    alpha = SOFT_MASK.copy()
    alpha[0, 0], alpha[-1, -1] = 1, 2
    return encoded(np.dstack([PHOTO, alpha]))


def mask_254() -> bytes:
    """A mask whose inside is 254."""
    return encoded(np.minimum(MASK, 254).astype(np.uint8))


def grey_2bit_trns() -> bytes:
    """A grey PNG of 2 bits whose third of four greys is transparent."""
    rows = b"".join(b"\0" + bytes([0b00011011] * 4) for _ in range(16))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 16, 2, 0, 0, 0, 0))
    return PNG + header + chunk(b"tRNS", b"\0\2") + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def turned_square() -> bytes:
    """A square JPEG to be turned by 90°."""
    return with_exif(jpeg(PHOTO[:, :HEIGHT]), exif(orientation_entry(6)))


def display_p3() -> bytes:
    """A PNG in Display P3."""
    from backdrop.contract.files.icc import coded_profile

    buffer = io.BytesIO()
    Image.fromarray(PHOTO).save(buffer, "PNG", icc_profile=coded_profile(12, 13, 0, 1))
    return buffer.getvalue()


def grey_profile(gamma: float) -> bytes:
    """An ICC profile of grey pictures."""
    white = b"XYZ " + bytes(4) + b"".join(struct.pack(">i", round(each * 65536)) for each in (0.9642, 1, 0.8249))
    curve = b"para" + bytes(8) + struct.pack(">i", round(gamma * 65536))
    head = struct.pack(">I4sI4s4s4s", 156 + 36, bytes(4), 0x04300000, b"mntr", b"GRAY", b"XYZ ")
    head += struct.pack(">6H4s", 2026, 1, 1, 0, 0, 0, b"acsp") + bytes(28) + white[8:]
    tags = struct.pack(">I4sII4sII", 2, b"wtpt", 156, 20, b"kTRC", 176, 16)
    return head.ljust(128, b"\0") + tags + white + curve


INKS = {"cyan": (55, -37, -50), "magenta": (48, 74, -3), "yellow": (89, -5, 93), "paper": (100, 0, 0)}
"""Full inks on paper in Lab under D50, near those of offset printing (ISO 12647-2)."""


def cmyk_profile() -> bytes:
    """An ICC profile of an imagined press (ICC.1:2022, `mft1`): what four inks look like, each off or full, in Lab."""
    corners = b""
    for number in range(16):
        # The first ink changes slowest. Inks on each other darken, and black ink covers everything.
        inks = [name for bit, name in zip((8, 4, 2), ("cyan", "magenta", "yellow"), strict=True) if number & bit]
        light, a, b = INKS["paper"] if not inks else np.mean([INKS[name] for name in inks], axis=0)
        light *= 1 if len(inks) < 2 else 0.7 if len(inks) == 2 else 0.25
        colour = (0, 0, 0) if number & 1 else (light, *((a, b) if len(inks) < 3 else (0, 0)))
        corners += bytes((round(colour[0] * 2.55), round(colour[1]) + 128, round(colour[2]) + 128))
    one = struct.pack(">i", 65536)
    identity = b"".join(one if place in (0, 4, 8) else bytes(4) for place in range(9))
    table = (
        b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + identity + bytes(range(256)) * 4 + corners + bytes(range(256)) * 3
    )
    white = b"XYZ " + bytes(4) + b"".join(struct.pack(">i", round(each * 65536)) for each in (0.9642, 1, 0.8249))
    head = struct.pack(">I4sI4s4s4s", 156 + 20 + len(table), bytes(4), 0x02400000, b"prtr", b"CMYK", b"Lab ")
    head += struct.pack(">6H4s", 2026, 1, 1, 0, 0, 0, b"acsp") + bytes(28) + white[8:]
    tags = struct.pack(">I4sII4sII", 2, b"wtpt", 156, 20, b"A2B0", 176, len(table))
    return head.ljust(128, b"\0") + tags + white + table


def cmyk_patches() -> Image.Image:
    """Four patches of 16 × 16 pixels: paper, cyan, magenta, yellow."""
    patches = np.zeros((16, 64, 4), np.uint8)
    for number in range(3):
        patches[:, 16 * (number + 1) : 16 * (number + 2), number] = 255
    return Image.fromarray(patches, "CMYK")


def srgb_profile() -> bytes:
    """Little CMS's profile of sRGB."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def blurred(mask: Bytes, radius: float) -> Bytes:
    """A mask with a Gaussian edge."""
    return np.array(Image.fromarray(mask).filter(ImageFilter.GaussianBlur(radius)))


def saved(mode: str, kind: str, **options: object) -> bytes:
    """The photo in another mode and format."""
    buffer = io.BytesIO()
    Image.fromarray(PHOTO).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def cmyk_with_profile() -> bytes:
    """The patches as a JPEG for print, with the press's profile."""
    buffer = io.BytesIO()
    cmyk_patches().save(buffer, "JPEG", quality=100, subsampling=0, icc_profile=cmyk_profile())
    return buffer.getvalue()


FILES: dict[str, Callable[[], bytes]] = {
    "phone.mpo.jpg": mpo,
    "mask-zero-one.png": zero_one,
    "cutout-residue.png": residue,
    "mask-254.png": mask_254,
    "mask.jpg": lambda: jpeg(MASK, 75),
    "exif-text-resolution.jpg": text_resolution,
    "long-xmp.png": long_xmp,
    "grey-2bit-trns.png": grey_2bit_trns,
    "turned-square.jpg": turned_square,
    "display-p3.png": display_p3,
    "photo.webp": lambda: saved("RGB", "WEBP", icc_profile=srgb_profile(), exif=exif(orientation_entry(6))),
    "lossless.webp": lambda: saved("RGBA", "WEBP", lossless=True),
    "cmyk-profile.jpg": cmyk_with_profile,
    "cmyk.jpg": lambda: saved("CMYK", "JPEG"),
    "grey.jpg": lambda: saved("L", "JPEG", icc_profile=srgb_profile(), progressive=True),
    "palette.png": lambda: saved("P", "PNG"),
}


def main(arguments: Iterable[str]) -> None:
    """Writes every file into a folder."""
    (folder,) = (Path(each) for each in arguments)
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in FILES.items():
        (folder / name).write_bytes(make())


if __name__ == "__main__":
    main(sys.argv[1:])

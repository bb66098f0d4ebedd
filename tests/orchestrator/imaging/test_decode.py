"""Pictures of strangers: what is read, and what is refused with which reason."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from backdrop.errors import InvalidRequestError, Reason
from orchestrator.imaging.decode import decode_mask, decode_photo
from tests.pictures import encoded, noisy_photo

LIMIT = 1_000_000


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_claiming(width: int, height: int) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def test_png_keeps_every_pixel() -> None:
    photo = noisy_photo(31, 17)
    decoded = decode_photo(encoded(photo), max_pixels=LIMIT)
    assert (decoded.rgb == photo).all()
    assert decoded.alpha is None


def test_alpha_is_kept_unless_fully_opaque() -> None:
    rgba = np.dstack([noisy_photo(8, 6), np.full((6, 8), 255, np.uint8)])
    assert decode_photo(encoded(rgba), max_pixels=LIMIT).alpha is None
    rgba[2, 3, 3] = 7
    alpha = decode_photo(encoded(rgba), max_pixels=LIMIT).alpha
    assert alpha is not None
    assert alpha[2, 3] == 7


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "RGB", "RGBA"])
def test_every_png_mode_is_read(mode: str) -> None:
    buffer = io.BytesIO()
    Image.new(mode, (9, 7), 1).save(buffer, "PNG")
    assert decode_photo(buffer.getvalue(), max_pixels=LIMIT).rgb.shape == (7, 9, 3)


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.array([[0, 0x8000, 0xFFFF]], np.uint16)).save(buffer, "PNG")
    rgb = decode_photo(buffer.getvalue(), max_pixels=LIMIT).rgb
    assert rgb[0, :, 0].tolist() == [0, 128, 255]


def test_cmyk_is_converted() -> None:
    buffer = io.BytesIO()
    Image.new("CMYK", (4, 4), (0, 0, 0, 0)).save(buffer, "JPEG")
    assert decode_photo(buffer.getvalue(), max_pixels=LIMIT).rgb.min() > 250


def test_exif_orientation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90° to show
    buffer = io.BytesIO()
    Image.new("RGB", (20, 10)).save(buffer, "JPEG", exif=exif)
    assert decode_photo(buffer.getvalue(), max_pixels=LIMIT).rgb.shape == (20, 10, 3)


def animation(kind: str) -> bytes:
    buffer = io.BytesIO()
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def other_format(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, kind)
    return buffer.getvalue()


def text_bomb() -> bytes:
    bomb = chunk(b"zTXt", b"k\0\0" + zlib.compress(b"\0" * 80_000_000, 9))
    whole = encoded(noisy_photo(8, 8))
    return whole[:33] + bomb + whole[33:]


BAD = {
    "empty": b"",
    "random": bytes(np.random.default_rng(1).integers(0, 256, 5000, dtype=np.uint8)),
    "half png": encoded(noisy_photo(40, 40))[:2000],
    "half jpeg": encoded(noisy_photo(40, 40), "JPEG")[:1000],
    "half webp": encoded(noisy_photo(40, 40), "WEBP")[:500],
    "corrupt stream": encoded(noisy_photo(40, 40))[:500] + b"\xff" * 200 + encoded(noisy_photo(40, 40))[700:],
    "zero size": png_claiming(0, 0),
    "animated png": animation("PNG"),
    "animated webp": animation("WEBP"),
    "gif": other_format("GIF"),
    "tiff": other_format("TIFF"),
    "eps": other_format("EPS"),
    "bmp": other_format("BMP"),
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "text bomb": text_bomb(),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_pictures_are_refused_by_name(name: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        decode_photo(BAD[name], max_pixels=LIMIT)
    assert (caught.value.field, caught.value.reason) == ("product", Reason.INVALID_PICTURE)
    with pytest.raises(InvalidRequestError) as caught:
        decode_mask(BAD[name], max_pixels=LIMIT)
    assert (caught.value.field, caught.value.reason) == ("mask", Reason.INVALID_MASK)


@pytest.mark.parametrize("claim", [(50_000, 50_000), (9000, 100), (1001, 1000)])
def test_too_many_pixels_are_refused_from_the_header_alone(claim: tuple[int, int]) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        decode_photo(png_claiming(*claim), max_pixels=LIMIT)
    assert caught.value.reason is Reason.PICTURE_TOO_LARGE


@settings(max_examples=150, deadline=None)
@given(cut=st.integers(0, 1200), flip=st.integers(0, 1200), kind=st.sampled_from(["PNG", "JPEG", "WEBP"]))
def test_damage_never_ends_in_another_exception(cut: int, flip: int, kind: str) -> None:
    data = bytearray(encoded(noisy_photo(20, 20), kind))
    data[flip % len(data)] ^= 0x55
    outcome: object = None
    try:
        outcome = decode_photo(bytes(data[: cut or None]), max_pixels=LIMIT).rgb.dtype
    except InvalidRequestError as refused:
        outcome = refused.field
    assert outcome in (np.uint8, "product")

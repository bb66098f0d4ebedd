"""Pictures of strangers: what is read, what is refused with which reason, and how style pictures become square."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from backdrop.contract import raster
from backdrop.contract.geometry import Size
from backdrop.contract.masks import read_mask
from backdrop.contract.pictures import STYLE_SIDE, Photo, decode_photo, decode_style, style_pixels
from backdrop.contract.raster import Header, read_header
from backdrop.errors import InvalidRequestError, Reason
from backdrop.v1 import generation_service_pb2 as pb
from tests.pictures import encoded, noisy_photo

LIMIT = 1_000_000


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_claiming(width: int, height: int) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def test_png_keeps_every_pixel() -> None:
    photo = noisy_photo(31, 17)
    decoded = decode_photo(encoded(photo), max_pixels=LIMIT, field="background.product")
    assert (decoded.rgb == photo).all()
    assert decoded.alpha is None


def test_alpha_is_kept_unless_fully_opaque() -> None:
    rgba = np.dstack([noisy_photo(8, 6), np.full((6, 8), 255, np.uint8)])
    assert decode_photo(encoded(rgba), max_pixels=LIMIT, field="background.product").alpha is None
    rgba[2, 3, 3] = 7
    alpha = decode_photo(encoded(rgba), max_pixels=LIMIT, field="background.product").alpha
    assert alpha is not None
    assert alpha[2, 3] == 7


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "RGB", "RGBA"])
def test_every_png_mode_is_read(mode: str) -> None:
    buffer = io.BytesIO()
    Image.new(mode, (9, 7), 1).save(buffer, "PNG")
    assert decode_photo(buffer.getvalue(), max_pixels=LIMIT, field="background.product").rgb.shape == (7, 9, 3)


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.array([[0, 0x8000, 0xFFFF]], np.uint16)).save(buffer, "PNG")
    rgb = decode_photo(buffer.getvalue(), max_pixels=LIMIT, field="background.product").rgb
    assert rgb[0, :, 0].tolist() == [0, 128, 255]


def test_cmyk_is_converted() -> None:
    buffer = io.BytesIO()
    Image.new("CMYK", (4, 4), (0, 0, 0, 0)).save(buffer, "JPEG")
    assert decode_photo(buffer.getvalue(), max_pixels=LIMIT, field="background.product").rgb.min() > 250


def test_exif_orientation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90° to show
    buffer = io.BytesIO()
    Image.new("RGB", (20, 10)).save(buffer, "JPEG", exif=exif)
    assert decode_photo(buffer.getvalue(), max_pixels=LIMIT, field="background.product").rgb.shape == (20, 10, 3)


def test_the_size_is_read_from_the_header_alone() -> None:
    header = read_header(png_claiming(1000, 900), max_pixels=LIMIT, field="background.product")
    assert header == Header(Size(1000, 900), 1)
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.new("RGB", (20, 10)).save(buffer, "JPEG", exif=exif)
    header = read_header(buffer.getvalue()[:-10], max_pixels=LIMIT, field="background.product")
    assert header == Header(Size(10, 20), 6)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("options", [{"lossless": True}, {"quality": 80}])
def test_the_size_of_every_webp_is_read(mode: str, options: dict[str, bool]) -> None:
    buffer = io.BytesIO()
    Image.new(mode, (301, 77), 100).save(buffer, "WEBP", **options)
    assert read_header(buffer.getvalue(), max_pixels=LIMIT, field="x").size == Size(301, 77)


def animation(kind: str) -> bytes:
    buffer = io.BytesIO()
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def other_format(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, kind)
    return buffer.getvalue()


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
}


@pytest.mark.parametrize("name", BAD)
def test_bad_pictures_are_refused_by_name(name: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        decode_photo(BAD[name], max_pixels=LIMIT, field="background.product")
    assert (caught.value.field, caught.value.reason) == ("background.product", Reason.INVALID_PICTURE)
    photo = Photo(noisy_photo(8, 8), None)
    with pytest.raises(InvalidRequestError) as caught:
        read_mask(BAD[name] or b"\0", photo, max_pixels=LIMIT, task="background", picture="product")
    assert (caught.value.field, caught.value.reason) == ("background.mask", Reason.INVALID_MASK)


@pytest.mark.parametrize("claim", [(50_000, 50_000), (9000, 100), (1001, 1000)])
def test_too_many_pixels_are_refused_from_the_header_alone(claim: tuple[int, int]) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        decode_photo(png_claiming(*claim), max_pixels=LIMIT, field="background.product")
    assert caught.value.reason is Reason.PICTURE_TOO_LARGE


@settings(max_examples=150, deadline=None)
@given(cut=st.integers(0, 1200), flip=st.integers(0, 1200), kind=st.sampled_from(["PNG", "JPEG", "WEBP"]))
def test_damage_never_ends_in_another_exception(cut: int, flip: int, kind: str) -> None:
    data = bytearray(encoded(noisy_photo(20, 20), kind))
    data[flip % len(data)] ^= 0x55
    outcome: object = None
    try:
        outcome = decode_photo(bytes(data[: cut or None]), max_pixels=LIMIT, field="background.product").rgb.dtype
    except InvalidRequestError as refused:
        outcome = refused.field
    assert outcome in (np.uint8, "background.product")


def test_a_picture_of_the_right_size_keeps_every_pixel() -> None:
    photo = noisy_photo(STYLE_SIDE, STYLE_SIDE)
    assert np.array_equal(style_pixels(Photo(photo, None)), photo)


@pytest.mark.parametrize(
    ("width", "height"), [(3 * STYLE_SIDE, STYLE_SIDE), (STYLE_SIDE, 3 * STYLE_SIDE), (STYLE_SIDE + 2, STYLE_SIDE)]
)
def test_of_a_longer_picture_the_middle_counts(width: int, height: int) -> None:
    photo = noisy_photo(width, height)
    top, left = (height - STYLE_SIDE) // 2, (width - STYLE_SIDE) // 2
    assert np.array_equal(style_pixels(Photo(photo, None)), photo[top : top + STYLE_SIDE, left : left + STYLE_SIDE])


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 500), (70, 50), (1000, 700)])
def test_any_size_becomes_the_same(width: int, height: int) -> None:
    plain = np.full((height, width, 3), (10, 120, 250), np.uint8)
    pixels = style_pixels(Photo(plain, None))
    assert pixels.shape == (STYLE_SIDE, STYLE_SIDE, 3)
    assert pixels.dtype == np.uint8
    assert (pixels == (10, 120, 250)).all()


def test_transparent_parts_lie_over_mid_grey() -> None:
    photo = np.full((STYLE_SIDE, STYLE_SIDE, 3), 200, np.uint8)
    alpha = np.zeros((STYLE_SIDE, STYLE_SIDE), np.uint8)
    alpha[:, : STYLE_SIDE // 2] = 255
    pixels = style_pixels(Photo(photo, alpha))
    assert (pixels[:, : STYLE_SIDE // 2] == 200).all()
    assert (pixels[:, STYLE_SIDE // 2 :] == 128).all()


def styled(*pictures: pb.StyleImage) -> pb.Conditioning:
    return pb.Conditioning(style_images=pictures)


def test_style_pictures_come_square_with_their_weights() -> None:
    picture = encoded(noisy_photo(30, 20))
    style, _ = decode_style(
        styled(pb.StyleImage(image=picture), pb.StyleImage(image=picture, weight=2.5)), max_pixels=LIMIT
    )
    assert [each.weight for each in style] == [1.0, 2.5]
    assert all(each.pixels.shape == (STYLE_SIDE, STYLE_SIDE, 3) for each in style)
    assert decode_style(styled(), max_pixels=LIMIT) == ((), ())


def test_a_bad_style_picture_is_named_by_its_place() -> None:
    whole = encoded(noisy_photo(30, 20))
    with pytest.raises(InvalidRequestError) as caught:
        decode_style(styled(pb.StyleImage(image=whole), pb.StyleImage(image=whole[:90])), max_pixels=LIMIT)
    assert caught.value.field == "conditioning.style_images[1].image"
    assert caught.value.reason is Reason.INVALID_PICTURE


def test_too_many_bytes_are_refused_before_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raster, "MAX_PICTURE_BYTES", 100)
    with pytest.raises(InvalidRequestError, match="100 are allowed") as caught:
        decode_photo(b"\0" * 101, max_pixels=LIMIT, field="background.product")
    assert caught.value.reason is Reason.PICTURE_TOO_LARGE

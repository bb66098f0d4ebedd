"""Pictures as phones, cameras and editors write them: several stills in a file, odd EXIF, long metadata, profiles."""

from __future__ import annotations

import io
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from backdrop.contract.files.icc import coded_profile
from backdrop.contract.pictures import Photo, decode_photo
from backdrop.contract.request_warnings import WarningReason
from backdrop.errors import InvalidRequestError, Reason
from tests.field import files
from tests.field.files import HEIGHT, PHOTO, WIDTH, chunk, exif, jpeg, orientation_entry, segment
from tests.pictures import encoded

FIELD = "background.product"


def read(data: bytes) -> Photo:
    return decode_photo(data, max_pixels=10**6, field=FIELD)


def reasons(photo: Photo) -> list[str]:
    assert all(each.field == FIELD and each.message.startswith(FIELD) for each in photo.warnings)
    return [each.reason for each in photo.warnings]


def difference(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> int:
    return int(np.abs(one.astype(int) - other.astype(int)).max())


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def turned(orientation: int) -> np.ndarray[Any, Any]:
    """The photo as a viewer shows it."""
    return {
        1: PHOTO, 2: PHOTO[:, ::-1], 3: PHOTO[::-1, ::-1], 4: PHOTO[::-1],
        5: PHOTO.transpose(1, 0, 2), 6: np.rot90(PHOTO, -1), 7: np.rot90(PHOTO.transpose(1, 0, 2), 2),
        8: np.rot90(PHOTO),
    }[orientation]  # fmt: skip


# Several pictures in a file


@pytest.mark.row("mpo")
def test_of_several_stills_the_first_is_taken() -> None:
    photo = read(files.mpo())
    assert np.array_equal(photo.rgb, read(jpeg(PHOTO)).rgb)
    assert reasons(photo) == [WarningReason.FIRST_PICTURE_TAKEN]


@pytest.mark.row("mpo")
def test_a_jpeg_with_anything_behind_it_is_its_first_picture() -> None:
    photo = read(jpeg(PHOTO) + jpeg(PHOTO[:8, :8]) + b"ftypmp42 a short film")
    assert np.array_equal(photo.rgb, read(jpeg(PHOTO)).rgb)


@pytest.mark.row("mpo")
@pytest.mark.parametrize("index", [b"", b"II*\0", b"\xff" * 40], ids=["empty", "cut", "noise"])
def test_a_broken_index_of_several_pictures_does_no_harm(index: bytes) -> None:
    assert np.array_equal(
        read(files.with_segments(jpeg(PHOTO), segment(0xE2, b"MPF\0" + index))).rgb, read(jpeg(PHOTO)).rgb
    )


@pytest.mark.row("mpo")
@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_a_real_animation_stays_refused(kind: str) -> None:
    frames = [Image.fromarray(PHOTO), Image.fromarray(255 - PHOTO)]
    with pytest.raises(InvalidRequestError, match="animation") as caught:
        read(saved(frames[0], kind, save_all=True, append_images=frames[1:]))
    assert caught.value.reason is Reason.INVALID_PICTURE


@pytest.mark.row("mpo")
def test_an_animation_of_one_frame_is_a_still() -> None:
    control = chunk(b"acTL", (1).to_bytes(4, "big") + bytes(4))
    photo = read(files.with_chunks(encoded(PHOTO), control))
    assert np.array_equal(photo.rgb, PHOTO)
    assert reasons(photo) == [WarningReason.FIRST_PICTURE_TAKEN], "its frame is another picture than the default one"


# EXIF


@pytest.mark.row("odd-exif")
def test_a_resolution_in_words_does_not_keep_a_photo_from_being_turned() -> None:
    photo = read(files.text_resolution())
    assert photo.rgb.shape == (WIDTH, HEIGHT, 3)
    assert np.array_equal(photo.rgb, np.rot90(read(jpeg(PHOTO)).rgb, -1))
    assert reasons(photo) == []


@pytest.mark.row("odd-exif")
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_applied(orientation: int, order: str) -> None:
    block = exif(orientation_entry(orientation, order=order), order=order)
    png = files.with_chunks(encoded(PHOTO), chunk(b"eXIf", block[6:]))
    assert np.array_equal(read(png).rgb, turned(orientation))
    webp = saved(Image.fromarray(PHOTO), "WEBP", lossless=True, exif=block)
    assert np.array_equal(read(webp).rgb, turned(orientation))
    assert read(files.with_exif(jpeg(PHOTO), block)).rgb.shape == turned(orientation).shape


@pytest.mark.row("odd-exif")
@pytest.mark.parametrize("kind", [1, 3, 4, 6, 8, 9])
def test_an_orientation_of_another_number_type_counts(kind: int) -> None:
    assert read(files.with_exif(jpeg(PHOTO), exif(orientation_entry(6, kind)))).rgb.shape == (WIDTH, HEIGHT, 3)


@pytest.mark.row("odd-exif")
@pytest.mark.parametrize(
    "block",
    [
        exif(orientation_entry(0)),
        exif(orientation_entry(9)),
        exif(orientation_entry(65535)),
        exif((files.ORIENTATION, 2, 2, b"6\0\0\0")),
        exif((files.ORIENTATION, 77, 1, b"\6\0\0\0")),
        exif(count=60_000),
        exif()[:9],
        b"Exif\0\0",
        b"Exif\0\0XX*\0\x08\0\0\0",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0" + b"\xff" * 60,
    ],
)
def test_an_impossible_or_broken_orientation_counts_as_none(block: bytes) -> None:
    assert np.array_equal(read(files.with_exif(jpeg(PHOTO), block)).rgb, read(jpeg(PHOTO)).rgb)


@pytest.mark.row("odd-exif")
def test_tags_with_wrong_lengths_do_not_hide_the_orientation() -> None:
    odd = [(0x0110, 2, 2**31, b"\xff" * 4), (0x011A, 5, 9, b"\0" * 4), (0x8769, 4, 1, b"\xff" * 4)]
    block = exif(*odd, orientation_entry(3), count=500)
    assert np.array_equal(read(files.with_chunks(encoded(PHOTO), chunk(b"eXIf", block[6:]))).rgb, turned(3))


@pytest.mark.row("odd-exif")
def test_the_orientation_may_stand_in_xmp_or_in_imagemagicks_text() -> None:
    xmp = b'<rdf:Description tiff:Orientation="6"/>'
    assert read(files.with_segments(jpeg(PHOTO), segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp))).rgb.shape == (
        WIDTH,
        HEIGHT,
        3,
    )
    packed = chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(xmp))
    assert np.array_equal(read(files.with_chunks(encoded(PHOTO), packed)).rgb, turned(6))
    block = exif(orientation_entry(8))
    raw = b"\nexif\n%8d\n" % len(block) + block.hex().encode() + b"\n"
    text = chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(raw))
    assert np.array_equal(read(files.with_chunks(encoded(PHOTO), text)).rgb, turned(8))


# Metadata


@pytest.mark.row("long-metadata")
def test_long_packed_text_is_skipped() -> None:
    photo = read(files.long_xmp())
    assert np.array_equal(photo.rgb, PHOTO)
    assert reasons(photo) == []


@pytest.mark.row("long-metadata")
@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP"])
@pytest.mark.parametrize("keyword", [b"Comment", b"XML:com.adobe.xmp", b"Raw profile type exif"])
def test_a_bomb_in_metadata_costs_nothing(kind: bytes, keyword: bytes) -> None:
    head = keyword + (b"\0\1\0\0\0" if kind == b"iTXt" else b"\0\0")
    photo = read(files.with_chunks(encoded(PHOTO), chunk(kind, head + BOMB)))
    assert np.array_equal(photo.rgb, PHOTO)
    assert reasons(photo) == ([WarningReason.PROFILE_IGNORED] if kind == b"iCCP" else [])


def _bomb() -> bytes:
    packer = zlib.compressobj(9)
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(64)) + packer.flush()


BOMB = _bomb()
"""64 MiB of zeros."""


@pytest.mark.row("long-metadata")
@pytest.mark.parametrize("chunks", [chunk(b"iTXt", b"noise"), chunk(b"tRNS", b""), chunk(b"zTXt", b"\xff" * 300)])
def test_damaged_metadata_does_no_harm(chunks: bytes) -> None:
    assert np.array_equal(read(files.with_chunks(encoded(PHOTO), chunks)).rgb, PHOTO)


@pytest.mark.row("long-metadata")
def test_metadata_that_is_cut_off_behind_the_pixels_does_no_harm() -> None:
    whole = encoded(PHOTO)
    assert np.array_equal(read(whole[:-12] + chunk(b"tEXt", b"Comment\0" + b"a" * 99)[:50]).rgb, PHOTO)


@pytest.mark.row("long-metadata")
def test_a_jpeg_with_many_long_segments_is_read() -> None:
    block = segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + b"x" * 65_000)
    assert np.array_equal(read(files.with_segments(jpeg(PHOTO), *[block] * 20)).rgb, read(jpeg(PHOTO)).rgb)


# Colour


def expected_colours(profile: bytes) -> np.ndarray[Any, Any]:
    """By Little CMS, as a viewer shows them."""
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    image = ImageCms.profileToProfile(
        Image.fromarray(PHOTO), source, ImageCms.createProfile("sRGB"), ImageCms.Intent.RELATIVE_COLORIMETRIC
    )
    return np.asarray(image)


@pytest.mark.row("wide-gamut")
def test_display_p3_becomes_srgb() -> None:
    photo = read(files.display_p3())
    assert reasons(photo) == [WarningReason.PROFILE_CONVERTED]
    profile = coded_profile(12, 13, 0, 1)
    assert profile is not None
    assert difference(photo.rgb, expected_colours(profile)) <= 1
    assert difference(photo.rgb, PHOTO) > 8
    red = saved(Image.new("RGB", (4, 4), (200, 50, 50)), "PNG", icc_profile=profile)
    assert read(red).rgb[0, 0].tolist() == pytest.approx([218, 23, 40], abs=1), "by P3's matrix"


@pytest.mark.row("wide-gamut")
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_profiles_of_every_format_count(kind: str) -> None:
    options: dict[str, Any] = {"quality": 95} if kind == "JPEG" else {"lossless": True} if kind == "WEBP" else {}
    photo = read(saved(Image.fromarray(PHOTO), kind, icc_profile=coded_profile(12, 13, 0, 1), **options))
    assert reasons(photo) == [WarningReason.PROFILE_CONVERTED]


@pytest.mark.row("wide-gamut")
@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_srgb_changes_nothing(kind: str) -> None:
    options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
    for profile in (files.srgb_profile(), coded_profile(1, 13, 0, 1)):
        photo = read(saved(Image.fromarray(PHOTO), kind, icc_profile=profile, **options))
        assert np.array_equal(photo.rgb, PHOTO)
        assert reasons(photo) == []


@pytest.mark.row("wide-gamut")
def test_alpha_stays_as_it_is() -> None:
    rgba = np.dstack([PHOTO, files.SOFT_MASK])
    photo = read(saved(Image.fromarray(rgba), "PNG", icc_profile=coded_profile(12, 13, 0, 1)))
    assert photo.alpha is not None
    assert np.array_equal(photo.alpha, files.SOFT_MASK)


def gamma(value: int) -> bytes:
    return chunk(b"gAMA", value.to_bytes(4, "big"))


def points(*values: float) -> bytes:
    return chunk(b"cHRM", b"".join(round(value * 100_000).to_bytes(4, "big") for value in values))


SRGB_POINTS = points(0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
P3_POINTS = points(0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)


@pytest.mark.row("wide-gamut")
@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        (chunk(b"cICP", bytes((12, 13, 0, 1))), [WarningReason.PROFILE_CONVERTED]),
        (chunk(b"cICP", bytes((9, 1, 0, 1))), [WarningReason.PROFILE_CONVERTED]),
        (chunk(b"cICP", bytes((1, 13, 0, 1))), []),
        (chunk(b"cICP", bytes((77, 13, 0, 1))), [WarningReason.PROFILE_IGNORED]),
        (chunk(b"cICP", bytes((1, 13, 0, 1))) + gamma(100_000), []),
        (chunk(b"sRGB", b"\0") + gamma(100_000) + P3_POINTS, []),
        (gamma(45_455), []),
        (gamma(45_455) + SRGB_POINTS, []),
        (gamma(45_455) + P3_POINTS, [WarningReason.PROFILE_CONVERTED]),
        (gamma(100_000), [WarningReason.PROFILE_CONVERTED]),
        (P3_POINTS, [WarningReason.PROFILE_CONVERTED]),
        (gamma(0), []),
        (points(*[0.0] * 8), []),
        (points(*[0.3] * 8), []),
    ],
)
def test_colour_chunks_of_png_count_in_their_order(chunks: bytes, expected: list[str]) -> None:
    photo = read(files.with_chunks(encoded(PHOTO), chunks))
    assert reasons(photo) == expected
    assert np.array_equal(photo.rgb, PHOTO) == (WarningReason.PROFILE_CONVERTED not in expected)


@pytest.mark.row("wide-gamut")
def test_linear_values_are_brightened() -> None:
    grey = np.full((4, 4), 55, np.uint8)  # 21.6 % of the light: middle grey
    photo = read(files.with_chunks(encoded(grey), gamma(100_000)))
    assert photo.rgb[0, 0].tolist() == pytest.approx([128] * 3, abs=1)


@pytest.mark.row("wide-gamut")
@pytest.mark.parametrize("transfer", [16, 18])
def test_hdr_is_refused(transfer: int) -> None:
    with pytest.raises(InvalidRequestError, match="HDR"):
        read(files.with_chunks(encoded(PHOTO), chunk(b"cICP", bytes((9, transfer, 0, 1)))))


@pytest.mark.row("wide-gamut")
@pytest.mark.parametrize(
    ("marker", "bits", "fault"),
    [(0xC1, 12, "12 or 16 bits"), (0xC3, 16, "12 or 16 bits"), (0xC7, 8, "hardly any program reads"), (0xC0, 8, "")],
)
def test_kinds_of_jpeg_that_the_decoder_cannot_read_are_named(marker: int, bits: int, fault: str) -> None:
    data = jpeg(PHOTO)
    frame = data.index(b"\xff\xc0\x00\x11\x08")
    data = data[:frame] + bytes((0xFF, marker, 0, 17, bits)) + data[frame + 5 :]
    if not fault:
        assert read(data).rgb.shape == PHOTO.shape
        return
    with pytest.raises(InvalidRequestError, match=fault):
        read(data)


@pytest.mark.row("wide-gamut")
def test_profiles_that_cannot_be_used_are_said_to_be_ignored() -> None:
    for profile in (b"noise" * 40, files.srgb_profile()[:200]):
        photo = read(saved(Image.fromarray(PHOTO), "PNG", icc_profile=profile))
        assert np.array_equal(photo.rgb, PHOTO)
        assert reasons(photo) == [WarningReason.PROFILE_IGNORED]
    half = segment(0xE2, b"ICC_PROFILE\0\1\2" + b"x" * 50)  # the first of two parts
    assert reasons(read(files.with_segments(jpeg(PHOTO), half))) == [WarningReason.PROFILE_IGNORED]


@pytest.mark.row("wide-gamut")
def test_a_grey_picture_with_an_rgb_profile_is_converted() -> None:
    grey = saved(Image.fromarray(PHOTO[..., 0]), "PNG", icc_profile=coded_profile(1, 8, 0, 1))
    assert reasons(read(grey)) == [WarningReason.PROFILE_CONVERTED]


@pytest.mark.row("wide-gamut")
@pytest.mark.parametrize("mode", ["L", "LA"])
def test_grey_profiles_count_in_grey_pictures_alone(mode: str) -> None:
    grey = Image.new(mode, (4, 4), 55 if mode == "L" else (55, 200))
    photo = read(saved(grey, "PNG", icc_profile=files.grey_profile(1.0)))
    assert reasons(photo) == [WarningReason.PROFILE_CONVERTED]
    assert photo.rgb[0, 0].tolist() == pytest.approx([128] * 3, abs=1)
    assert (photo.alpha is None) == (mode == "L")
    colours = read(saved(Image.fromarray(PHOTO), "PNG", icc_profile=files.grey_profile(1.0)))
    assert reasons(colours) == [WarningReason.PROFILE_IGNORED]


def test_sixteen_bits_are_said_to_be_reduced() -> None:
    deep = Image.fromarray(PHOTO[..., 0].astype(np.uint16) * 257)
    photo = read(saved(deep, "PNG"))
    assert np.array_equal(photo.rgb[..., 0], PHOTO[..., 0])
    assert reasons(photo) == [WarningReason.DEPTH_REDUCED]

"""What a Python caller may pass as a picture: every PIL mode is sent with what it says, anything else is our error."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from backdrop._pictures import MODES, encode_picture
from backdrop.contract.files.icc import coded_profile
from backdrop.contract.pictures import Photo, decode_photo
from backdrop.errors import InvalidRequestError, Reason
from tests.field import files
from tests.field.files import HEIGHT, MASK, PHOTO, SOFT_MASK, WIDTH, exif, jpeg, orientation_entry
from tests.field.png import GREY, PALETTE, RGB, Kind, make
from tests.pictures import encoded

FIELD = "background.product"
GREY_PHOTO = PHOTO[..., 0]
RGBA_PHOTO = np.dstack([PHOTO, SOFT_MASK])


def arrive(source: Any) -> Photo:
    """What the server gets of a picture."""
    return decode_photo(encode_picture(source, FIELD), max_pixels=10**6, field=FIELD)


def alpha_of(photo: Photo) -> np.ndarray[Any, Any]:
    assert photo.alpha is not None
    return photo.alpha


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def same(photo: Photo, expected: np.ndarray[Any, Any], tolerance: int = 0) -> None:
    expected = expected if expected.ndim == 3 else np.repeat(expected[..., None], 3, axis=2)
    assert photo.rgb.shape == expected.shape
    assert np.abs(photo.rgb.astype(int) - expected).max() <= tolerance


@pytest.mark.row("pil-modes")
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "RGBX", "PA", "CMYK", "YCbCr", "HSV"])
def test_every_mode_arrives_as_pillow_shows_it(mode: str) -> None:
    image = Image.fromarray(PHOTO).convert("P").convert("PA") if mode == "PA" else Image.fromarray(PHOTO).convert(mode)
    same(arrive(image), np.asarray(image.convert("RGB")))


@pytest.mark.row("pil-modes")
def test_lab_arrives_as_rgb() -> None:
    from PIL import ImageCms

    lab = ImageCms.profileToProfile(
        Image.fromarray(PHOTO), ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    difference = np.abs(arrive(lab).rgb.astype(int) - PHOTO)
    assert difference.mean() < 2, "8 bits of Lab are coarse"


@pytest.mark.row("pil-modes")
@pytest.mark.parametrize("mode", ["RGBA", "RGBa", "LA", "La", "PA"])
def test_alpha_arrives(mode: str) -> None:
    image = Image.fromarray(RGBA_PHOTO)
    if mode == "PA":
        image = image.convert("RGB").convert("P").convert("PA")
        image.putalpha(Image.fromarray(SOFT_MASK))
    elif mode in ("LA", "La"):
        image = Image.merge("LA", (Image.fromarray(GREY_PHOTO), Image.fromarray(SOFT_MASK))).convert(mode)
    else:
        image = image.convert(mode)
    assert image.mode == mode
    photo = arrive(image)
    assert np.array_equal(alpha_of(photo), SOFT_MASK)
    opaque = SOFT_MASK == 255
    expected = np.asarray(image.convert("RGBA" if mode != "La" else "LA").convert("RGBA"))[..., :3]
    assert np.array_equal(photo.rgb[opaque], expected[opaque])


@pytest.mark.row("pil-modes")
def test_palettes_with_alpha_arrive() -> None:
    image = Image.fromarray(GREY_PHOTO).convert("P")
    image.info["transparency"] = bytes(range(256))
    assert np.array_equal(alpha_of(arrive(image)), np.asarray(image.convert("RGBA"))[..., 3])
    image.info["transparency"] = int(GREY_PHOTO[0, 0])
    assert alpha_of(arrive(image))[0, 0] == 0


@pytest.mark.row("pil-modes")
@pytest.mark.parametrize("order", ["<u2", ">u2"])
def test_sixteen_bits_of_either_order_are_scaled(order: str) -> None:
    deep = GREY_PHOTO.astype(np.uint16) * 257
    image = Image.frombytes("I;16" if order == "<u2" else "I;16B", (WIDTH, HEIGHT), deep.astype(order).tobytes())
    same(arrive(image), GREY_PHOTO)


@pytest.mark.row("pil-modes")
@pytest.mark.parametrize("mode", ["I", "F"])
@pytest.mark.parametrize("factor", [1, 257])
def test_grey_of_32_bits_is_scaled_by_its_range(mode: str, factor: int) -> None:
    kind = np.int32 if mode == "I" else np.float32
    same(arrive(Image.fromarray((GREY_PHOTO.astype(np.int64) * factor).astype(kind))), GREY_PHOTO)


@pytest.mark.row("pil-modes")
def test_fractions_are_scaled() -> None:
    same(arrive(Image.fromarray((GREY_PHOTO / 255).astype(np.float32))), GREY_PHOTO)


@pytest.mark.row("pil-modes")
@pytest.mark.parametrize("values", [[-1.0, 0.0], [0.0, np.nan], [0.0, np.inf], [0.0, 1e9]])
def test_grey_without_a_range_is_refused(values: list[float]) -> None:
    refused(Image.fromarray(np.array([values], np.float32)))


@pytest.mark.row("png-transparency")
@pytest.mark.parametrize(("colour_type", "depth"), [(GREY, 1), (GREY, 2), (GREY, 4), (GREY, 8), (RGB, 8), (PALETTE, 4)])
def test_transparent_colours_of_opened_pngs_arrive(colour_type: int, depth: int) -> None:
    data, expected = make(Kind(colour_type, depth, True, False, 32, 32))
    for image in (opened(data), opened(data).copy()):
        assert np.array_equal(alpha_of(arrive(image)), expected[..., 3])


@pytest.mark.row("png-transparency")
def test_an_opened_png_that_lost_what_its_transparency_needs_is_refused() -> None:
    data, _ = make(Kind(RGB, 16, True, False, 32, 32))
    loaded = opened(data)
    loaded.load()
    for image in (opened(data), loaded):
        refused(image, "send the file itself")


@pytest.mark.row("turned-mask")
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_arrives(orientation: int) -> None:
    data = files.with_exif(jpeg(PHOTO), exif(orientation_entry(orientation)))
    assert np.array_equal(arrive(opened(data)).rgb, arrive(data).rgb)
    assert arrive(opened(data)).orientation == orientation, "the server compares it with the mask's"


@pytest.mark.row("odd-exif")
def test_odd_exif_in_a_pil_picture_arrives() -> None:
    data = files.text_resolution()
    assert np.array_equal(arrive(opened(data)).rgb, arrive(data).rgb)


@pytest.mark.row("mpo")
def test_of_a_pil_picture_of_several_stills_the_one_that_it_shows_arrives() -> None:
    image = opened(files.mpo())
    assert arrive(image).rgb.shape == PHOTO.shape
    image.seek(1)
    assert arrive(image).rgb.shape == (12, 16, 3)
    buffer = io.BytesIO()
    pages = [Image.fromarray(PHOTO), Image.fromarray(PHOTO[:8])]
    pages[0].save(buffer, "TIFF", save_all=True, append_images=pages[1:])
    same(arrive(opened(buffer.getvalue())), PHOTO)


@pytest.mark.row("mpo")
@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "AVIF"])
def test_a_pil_animation_is_refused_and_a_copy_of_its_frame_taken(kind: str) -> None:
    buffer = io.BytesIO()
    frames = [Image.fromarray(PHOTO), Image.fromarray(255 - PHOTO)]
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:])
    image = opened(buffer.getvalue())
    refused(image, "animation")
    assert arrive(image.copy()).rgb.shape == PHOTO.shape
    still = io.BytesIO()
    frames[0].save(still, kind)
    assert arrive(opened(still.getvalue())).rgb.shape == PHOTO.shape


@pytest.mark.row("wide-gamut")
def test_the_profile_of_a_pil_picture_arrives() -> None:
    image = opened(files.display_p3())
    assert np.array_equal(arrive(image).rgb, arrive(files.display_p3()).rgb)
    image = Image.fromarray(PHOTO)
    image.info["icc_profile"] = coded_profile(12, 13, 0, 1)
    assert arrive(image).warnings


def closed() -> Image.Image:
    image = opened(encoded(PHOTO))
    image.close()
    return image


def without_file() -> Image.Image:
    file = io.BytesIO(encoded(PHOTO))
    image = Image.open(file)
    file.close()
    return image


def released() -> memoryview:
    view = memoryview(encoded(PHOTO))
    view.release()
    return view


class Lying:
    """Says that it is an array, and is none."""

    __array_interface__ = 7


BROKEN: dict[str, Callable[[], Any]] = {
    "closed": closed,
    "of a closed file": without_file,
    "cut off": lambda: opened(encoded(PHOTO)[:900]),
    "cut-off JPEG": lambda: opened(jpeg(PHOTO)[:900]),
    "0×0": lambda: Image.new("RGB", (0, 0)),
    "0 wide": lambda: Image.new("L", (0, 7)),
    "float array": lambda: PHOTO.astype(np.float32),
    "int64 array": lambda: PHOTO.astype(np.int64),
    "uint16 array": lambda: PHOTO.astype(np.uint16),
    "array of objects": lambda: PHOTO.astype(object),
    "array of text": lambda: np.array([["a"]]),
    "structured array": lambda: np.zeros((4, 4), [("r", "u1")]),
    "no array": lambda: np.zeros((), np.uint8),
    "vector": lambda: np.zeros(9, np.uint8),
    "five channels": lambda: np.zeros((4, 4, 5), np.uint8),
    "four axes": lambda: np.zeros((1, 4, 4, 3), np.uint8),
    "empty array": lambda: np.zeros((0, 4, 3), np.uint8),
    "lying object": Lying,
    "released memory": released,
    "missing file": lambda: "there is no such file.png",
    "folder": lambda: Path(__file__).parent,
    "path with NUL": lambda: "a\0b",
    "empty path": lambda: "",
    "long path": lambda: "x" * 100_000,
    "file object": lambda: io.BytesIO(encoded(PHOTO)),
    "text": lambda: io.StringIO("photo"),
    "number": lambda: 7,
    "nothing": lambda: None,
    "list": lambda: PHOTO.tolist(),
}


def refused(source: Any, match: str = "background") -> None:
    with pytest.raises(InvalidRequestError, match=match) as caught:
        encode_picture(source, FIELD)
    assert (caught.value.reason, caught.value.field) == (Reason.INVALID_PICTURE, FIELD)


@pytest.mark.row("pil-modes")
@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_picture_is_refused_by_our_error(name: str) -> None:
    refused(BROKEN[name]())


@pytest.mark.row("pil-modes")
@pytest.mark.parametrize(
    "array",
    [PHOTO[::-1], PHOTO[:, ::2], np.asfortranarray(PHOTO), PHOTO.transpose(1, 0, 2), PHOTO[..., ::-1], RGBA_PHOTO],
)
def test_arrays_of_any_layout_arrive(array: np.ndarray[Any, Any]) -> None:
    same(arrive(array), array[..., :3])


def test_masks_of_truth_values_and_of_one_channel_arrive() -> None:
    same(arrive(MASK > 0), MASK)
    same(arrive(MASK[..., None]), MASK)


@pytest.mark.parametrize("convert", [bytes, bytearray, memoryview, lambda data: memoryview(data + data)[: len(data)]])
def test_bytes_of_any_type_arrive(convert: Callable[[bytes], Any]) -> None:
    same(arrive(convert(encoded(PHOTO))), PHOTO)


def test_a_file_that_is_too_large_is_not_read_whole(tmp_path: Path) -> None:
    file = tmp_path / "large.png"
    with file.open("wb") as stream:
        stream.truncate(1 << 34)
    assert len(encode_picture(file, FIELD)) == (16 << 20) + 1


def test_every_mode_of_pillow_is_decided() -> None:
    from PIL import ImageMode

    modes = set(Image.MODES) | {"La", "PA", "RGBa", "RGBX", "I;16", "I;16L", "I;16B", "I;16N"}
    assert {ImageMode.getmode(mode).mode for mode in modes} == modes
    assert modes == set(MODES)

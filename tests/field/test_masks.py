"""Masks as people send them: class numbers, JPEG, 254, residue, colours, alpha, another orientation than the photo."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from backdrop.contract.canvas import MaskSource
from backdrop.contract.geometry import bounding_box
from backdrop.contract.masks import Matte, read_mask
from backdrop.contract.pictures import decode_photo
from backdrop.contract.products import FIRST, check_product, inverted_warnings
from backdrop.contract.request_warnings import WarningReason
from backdrop.errors import InvalidRequestError, Reason
from tests.field import files
from tests.field.files import (
    HEIGHT,
    MASK,
    PHOTO,
    SOFT_MASK,
    WIDTH,
    Bytes,
    blurred,
    chunk,
    exif,
    jpeg,
    orientation_entry,
)
from tests.pictures import ellipse_mask, encoded

PRODUCT = encoded(PHOTO)


def read(mask: bytes, product: bytes = PRODUCT, task: str = "background") -> Matte:
    """The matte of a request, checked as the background task checks it."""
    picture = "product" if task == "background" else "picture"
    photo = decode_photo(product, max_pixels=10**7, field=f"{task}.{picture}")
    matte = read_mask(mask, photo, max_pixels=10**7, task=task, picture=picture)
    if task == "background":
        check_product(FIRST, matte.values, matte.source, alone=True)
    return matte


def values(matte: Matte) -> Bytes:
    assert matte.values is not None
    return matte.values


def reasons(matte: Matte) -> list[str]:
    return [each.reason for each in matte.warnings]


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def cutout(alpha: Bytes) -> bytes:
    return encoded(np.dstack([*[np.full_like(alpha, grey) for grey in (90, 120, 200)], alpha]))


# Class numbers


def classes(*levels: int) -> Bytes:
    """Bands of class numbers."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    for index, level in enumerate(levels):
        mask[20:50, 10 + 20 * index : 28 + 20 * index] = level
    return mask


def palette_of_classes() -> bytes:
    image = Image.fromarray(classes(1, 2, 3))
    image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0])  # PASCAL VOC's first colours
    return png(image)


CLASSES = {
    "zero and one": files.zero_one(),
    "three classes": encoded(classes(1, 2, 3)),
    "a class of 100": encoded(classes(100)),
    "ignored border": encoded(np.where(ellipse_mask(WIDTH, HEIGHT) > 0, 7, classes(255)).astype(np.uint8)),
    "palette of class colours": palette_of_classes(),
    "palette of class numbers": png(Image.fromarray(classes(1)).convert("P")),
    "zero and one in 16 bits": png(Image.fromarray((MASK // 255).astype(np.uint16))),
    "8-bit values in 16 bits": png(Image.fromarray(MASK.astype(np.uint16))),
    "grey and alpha": png(Image.merge("LA", (Image.fromarray(MASK // 255), Image.new("L", (WIDTH, HEIGHT), 255)))),
}


@pytest.mark.row("zero-one-mask")
@pytest.mark.parametrize("task", ["background", "erase"])
@pytest.mark.parametrize("name", CLASSES)
def test_class_numbers_are_refused_with_the_fix(name: str, task: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"255|grey") as caught:
        read(CLASSES[name], task=task)
    assert (caught.value.reason, caught.value.field) == (Reason.INVALID_MASK, f"{task}.mask")


@pytest.mark.row("zero-one-mask")
def test_the_fix_for_zero_and_one_is_named() -> None:
    with pytest.raises(InvalidRequestError, match=r"1 of 255.*class numbers.*Multiply"):
        read(files.zero_one())


@pytest.mark.row("zero-one-mask")
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA"])
def test_the_same_mask_in_any_mode_is_taken(mode: str) -> None:
    assert np.array_equal(values(read(png(Image.fromarray(MASK).convert(mode)))), MASK)


@pytest.mark.row("zero-one-mask")
@pytest.mark.parametrize("largest", [128, 200, 229])
def test_a_mask_of_which_nothing_is_certain_is_refused(largest: int) -> None:
    with pytest.raises(InvalidRequestError, match="no pixel of the mask is certain"):
        read(encoded((blurred(MASK, 2) * (largest / 255)).astype(np.uint8)))


@pytest.mark.row("zero-one-mask")
def test_alpha_of_zero_and_one_is_refused() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read(b"", cutout(MASK // np.uint8(255)))
    assert (caught.value.reason, caught.value.field) == (Reason.INVALID_MASK, "background.product")


@pytest.mark.row("zero-one-mask")
def test_coloured_masks_are_refused_and_nearly_grey_ones_taken() -> None:
    red = np.dstack([MASK, np.zeros_like(MASK), np.zeros_like(MASK)])
    with pytest.raises(InvalidRequestError, match="coloured"):
        read(encoded(red))
    tinted = np.dstack([MASK, MASK, np.where(MASK, 240, 12).astype(np.uint8)])
    assert np.array_equal(values(read(encoded(tinted))), MASK)


@pytest.mark.row("zero-one-mask")
def test_transparent_parts_of_a_mask_mark_nothing_or_are_refused() -> None:
    brush = np.dstack([np.where(MASK, 255, 0).astype(np.uint8)] * 3 + [SOFT_MASK])
    brush[SOFT_MASK > 0, :3] = 255
    assert np.array_equal(values(read(encoded(brush))), SOFT_MASK)
    hidden = np.dstack([np.full((HEIGHT, WIDTH, 3), 255, np.uint8), MASK])
    with pytest.raises(InvalidRequestError, match="transparent parts"):
        read(encoded(hidden))


@pytest.mark.row("zero-one-mask")
def test_a_mask_of_the_scene_is_suspected() -> None:
    assert [each.reason for each in inverted_warnings(read(encoded(np.invert(MASK))))] == [
        WarningReason.MASK_MAYBE_INVERTED
    ]
    assert inverted_warnings(read(encoded(MASK))) == ()
    assert inverted_warnings(Matte(np.full_like(MASK, 255), MaskSource.REQUEST)) == ()


# Residue


def with_residue(alpha: Bytes, level: int = 2) -> Bytes:
    alpha = alpha.copy()
    alpha[0, 0], alpha[-1, -1] = level, max(1, level - 1)
    return alpha


@pytest.mark.row("residue")
@pytest.mark.parametrize("level", [1, 2, 12])
@pytest.mark.parametrize(("width", "height"), [(96, 64), (900, 600)])
def test_residue_in_far_corners_is_cleared_and_the_soft_edge_kept(width: int, height: int, level: int) -> None:
    alpha = blurred(ellipse_mask(width, height), width / 100)
    matte = read(b"", cutout(with_residue(alpha, level)))
    assert np.array_equal(values(matte), alpha)
    assert reasons(matte) == [WarningReason.RESIDUE_CLEARED]
    assert matte.warnings[0].field == "background.product"


@pytest.mark.row("residue")
@pytest.mark.parametrize("haze", [1, 2, 8])
@pytest.mark.parametrize("radius", [0, 6])
def test_haze_is_cleared(haze: int, radius: float) -> None:
    alpha = ellipse_mask(600, 400)
    alpha = blurred(alpha, radius) if radius else alpha
    noise = np.random.default_rng(3).integers(1, haze + 1, alpha.shape)
    matte = read(b"", cutout(np.maximum(alpha, noise).astype(np.uint8)))
    assert bounding_box(values(matte)) == bounding_box(np.where(alpha > 12, alpha, 0).astype(np.uint8))
    assert WarningReason.RESIDUE_CLEARED in reasons(matte)


@pytest.mark.row("residue")
@pytest.mark.parametrize("radius", [0, 1, 4, 12, 25])
def test_a_real_soft_edge_is_kept_to_the_bit(radius: float) -> None:
    alpha = ellipse_mask(600, 400)
    alpha = blurred(alpha, radius) if radius else alpha
    matte = read(b"", cutout(alpha))
    assert np.array_equal(values(matte), alpha)
    assert reasons(matte) == []


@pytest.mark.row("residue")
def test_residue_of_a_sent_mask_is_cleared_too() -> None:
    matte = read(encoded(with_residue(SOFT_MASK)))
    assert np.array_equal(values(matte), SOFT_MASK)
    assert [(each.reason, each.field) for each in matte.warnings] == [
        (WarningReason.RESIDUE_CLEARED, "background.mask")
    ]


# Nearly binary


@pytest.mark.row("nearly-binary")
@pytest.mark.parametrize("top", [254, 250, 231])
def test_nearly_certain_is_certain(top: int) -> None:
    matte = read(encoded(np.minimum(MASK, top).astype(np.uint8)))
    assert np.array_equal(values(matte), MASK)
    assert reasons(matte) == [WarningReason.MASK_SNAPPED]


@pytest.mark.row("nearly-binary")
@pytest.mark.parametrize("quality", [60, 75, 90, 95])
def test_a_jpeg_of_a_hard_mask_is_the_hard_mask(quality: int) -> None:
    mask = ellipse_mask(256, 192)
    product = cutout(np.full((192, 256), 255, np.uint8))
    lossy = jpeg(mask, quality)
    assert np.array_equal(values(read(lossy, product)), mask)
    again = png(Image.open(io.BytesIO(lossy)))  # as a PIL image is sent
    assert np.array_equal(values(read(again, product)), mask)


@pytest.mark.row("nearly-binary")
def test_the_soft_edge_of_a_jpeg_mask_stays_soft() -> None:
    mask = blurred(ellipse_mask(256, 192), 5)
    read_values = values(read(jpeg(mask, 90), cutout(np.full((192, 256), 255, np.uint8))))
    middle = (mask > 40) & (mask < 215)
    assert np.abs(read_values[middle].astype(int) - mask[middle]).max() <= 8
    assert (read_values[mask == 255] == 255).all()
    assert (read_values[mask == 0] == 0).all()


@pytest.mark.row("nearly-binary")
def test_the_soft_edge_of_a_mask_up_to_254_is_kept() -> None:
    mask = np.minimum(SOFT_MASK, 254).astype(np.uint8)
    soft = (mask > 20) & (mask < 230)
    matte = values(read(encoded(mask)))
    assert np.array_equal(matte[soft], mask[soft])
    assert (matte[mask == 254] == 255).all()


@pytest.mark.row("nearly-binary")
def test_alpha_of_254_everywhere_is_opaque() -> None:
    matte = read(b"", cutout(np.full((HEIGHT, WIDTH), 254, np.uint8)))
    assert (matte.values, matte.source) == (None, MaskSource.SEGMENTER)


# Orientation


def turned_photo(width: int, height: int, orientation: int = 6) -> bytes:
    photo = np.array(Image.fromarray(PHOTO).resize((width, height)))
    return files.with_exif(jpeg(photo), exif(orientation_entry(orientation)))


@pytest.mark.row("turned-mask")
@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_the_refusal_of_a_mask_from_before_the_turn_names_the_orientation(orientation: int) -> None:
    with pytest.raises(InvalidRequestError, match=f"EXIF orientation {orientation}"):
        read(encoded(MASK), turned_photo(WIDTH, HEIGHT, orientation))
    matte = read(encoded(np.ascontiguousarray(np.rot90(MASK, -1))), turned_photo(WIDTH, HEIGHT, orientation))
    assert reasons(matte) == [], "the size says that it fits"


@pytest.mark.row("turned-mask")
def test_another_size_is_refused_as_such() -> None:
    with pytest.raises(InvalidRequestError, match="both must have the same size"):
        read(encoded(MASK[:-1]), turned_photo(WIDTH, HEIGHT))


@pytest.mark.row("turned-mask")
def test_for_a_square_photo_the_mask_belongs_to_the_upright_picture_with_a_warning() -> None:
    mask = ellipse_mask(64, 64)
    mask[:, :30] = 0
    matte = read(encoded(mask), files.turned_square())
    assert np.array_equal(values(matte), mask)
    assert reasons(matte) == [WarningReason.MASK_NOT_TURNED]
    assert "orientation" in matte.warnings[0].message


@pytest.mark.row("turned-mask")
@pytest.mark.parametrize("orientation", [2, 3, 4])
def test_a_flip_never_shows_in_the_size(orientation: int) -> None:
    assert reasons(read(encoded(MASK), turned_photo(WIDTH, HEIGHT, orientation))) == [WarningReason.MASK_NOT_TURNED]


@pytest.mark.row("turned-mask")
def test_a_mask_with_an_orientation_of_its_own_is_turned() -> None:
    mask = ellipse_mask(64, 64)
    mask[:, :30] = 0
    turned = files.with_chunks(encoded(mask), chunk(b"eXIf", exif(orientation_entry(6))[6:]))
    matte = read(turned, files.turned_square())
    assert np.array_equal(values(matte), np.rot90(mask, -1))
    assert reasons(matte) == []


def test_a_mask_replaces_alpha_as_the_contract_says() -> None:
    matte = read(encoded(MASK), cutout(SOFT_MASK))
    assert np.array_equal(values(matte), MASK)
    assert reasons(matte) == []

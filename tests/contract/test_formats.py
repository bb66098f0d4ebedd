"""Encodings: what may come in, what goes out, and that nothing but pixels goes through."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from backdrop import AsyncClient, Background, MaskSource
from tests.contract.photos import (
    HARD_MASK,
    HEIGHT,
    MASK,
    PHOTO,
    PRODUCT,
    QUICK,
    TASK,
    WIDTH,
    Bytes,
    pixels,
    receipt_of,
    saved,
)
from tests.pictures import encoded, noisy_photo

SECRET = b"warehouse-7-secret"
RGB = Image.fromarray(PHOTO)
GREY = noisy_photo(WIDTH, HEIGHT, seed=3)[..., 0]
INSIDE = HARD_MASK == 255


async def product_pixels(client: AsyncClient, product: bytes) -> Bytes:
    """The opaque product pixels of a picture of `product`: [N, 3]."""
    best = (await client.generate(Background(product, MASK), **QUICK)).best
    assert receipt_of(best).max_difference == 0
    inside: Bytes = pixels(best)[INSIDE]
    return inside


@pytest.mark.parametrize("lossless", [saved(RGB, "PNG"), saved(RGB, "WEBP", lossless=True)], ids=["png", "webp"])
async def test_lossless_photos_arrive_exactly(client: AsyncClient, lossless: bytes) -> None:
    assert np.array_equal(await product_pixels(client, lossless), PHOTO[INSIDE])


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
async def test_lossy_photos_arrive_as_they_decode(client: AsyncClient, kind: str) -> None:
    photo = saved(RGB, kind)
    decoded = np.asarray(Image.open(io.BytesIO(photo)).convert("RGB"))
    assert np.array_equal(await product_pixels(client, photo), decoded[INSIDE])


async def test_grey_becomes_colour(client: AsyncClient) -> None:
    arrived = await product_pixels(client, encoded(GREY))
    assert np.array_equal(arrived, np.repeat(GREY[INSIDE][:, None], 3, axis=1))


async def test_a_palette_is_looked_up(client: AsyncClient) -> None:
    palette = RGB.quantize(64)
    assert np.array_equal(
        await product_pixels(client, saved(palette, "PNG")), np.asarray(palette.convert("RGB"))[INSIDE]
    )


async def test_16_bits_become_8(client: AsyncClient) -> None:
    deep = GREY.astype(np.uint16) * 257
    arrived = await product_pixels(client, saved(Image.fromarray(deep), "PNG"))
    assert np.array_equal(arrived[:, 0], GREY[INSIDE])


async def test_cmyk_becomes_rgb(client: AsyncClient) -> None:
    photo = saved(RGB.convert("CMYK"), "JPEG", quality=95)
    arrived = await product_pixels(client, photo)
    assert arrived.shape == (INSIDE.sum(), 3)


async def test_grey_with_alpha_is_masked_by_it(client: AsyncClient) -> None:
    photo = saved(Image.merge("LA", (Image.fromarray(GREY), Image.fromarray(HARD_MASK))), "PNG")
    best = (await client.generate(Background(photo), **QUICK)).best
    assert receipt_of(best).mask_source is MaskSource.ALPHA
    assert np.array_equal(pixels(best)[INSIDE][:, 0], GREY[INSIDE])


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
async def test_masks_come_in_several_formats(client: AsyncClient, kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    mask = saved(Image.fromarray(HARD_MASK).convert("RGB"), kind, **options)
    best = (await client.generate(Background(PRODUCT, mask), **QUICK)).best
    assert receipt_of(best).compared_pixels == INSIDE.sum()


@pytest.mark.parametrize(
    ("output_format", "media_type", "kind"),
    [("png", "image/png", "PNG"), ("jpeg", "image/jpeg", "JPEG"), ("webp", "image/webp", "WEBP")],
)
async def test_pictures_come_in_the_format_asked_for(
    client: AsyncClient, output_format: str, media_type: str, kind: str
) -> None:
    result = await client.generate(TASK, **QUICK, output_format=output_format)
    image = Image.open(io.BytesIO(result.best.data))
    assert (result.best.media_type, image.format, image.mode) == (media_type, kind, "RGB")
    assert image.size == (WIDTH, HEIGHT)
    assert result.settings.output_format == output_format


@pytest.mark.parametrize("output_format", ["png", "jpeg", "webp"])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
async def test_no_metadata_of_the_photo_leaves(client: AsyncClient, kind: str, output_format: str) -> None:
    result = await client.generate(Background(_tagged(kind), MASK), **QUICK, output_format=output_format)
    data = result.best.data
    assert SECRET not in data
    image = Image.open(io.BytesIO(data))
    assert not set(image.info) & {"exif", "icc_profile", "xmp", "XML:com.adobe.xmp", "comment", "Comment"}
    assert not image.getexif()


def _tagged(kind: str) -> bytes:
    """A photo with EXIF, XMP, an ICC profile and a comment, all holding SECRET."""
    exif = Image.Exif()
    exif[0x010E] = SECRET.decode()  # ImageDescription
    options: dict[str, object] = {
        "exif": exif,
        "icc_profile": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
    }
    if kind == "PNG":
        text = PngInfo()
        text.add_text("Comment", SECRET.decode())
        text.add_itxt("XML:com.adobe.xmp", f"<x>{SECRET.decode()}</x>")
        options["pnginfo"] = text
    else:
        options["xmp"] = b"<x>" + SECRET + b"</x>"
    tagged = saved(RGB, kind, **options)
    assert SECRET in tagged
    return tagged

"""Style pictures: they change the scene, by their weights and by the scale, and are held to the photo's rules.

What needs a pipeline that takes them runs on every server that has one, and says so where there is none.
"""

from __future__ import annotations

import io
import uuid
from typing import Any

import numpy as np
import pytest
from PIL import Image

from backdrop import (
    AsyncClient,
    BackdropError,
    ConflictError,
    InvalidRequestError,
    Pipeline,
    Reason,
    StepProgress,
    StyleImage,
)
from tests.contract.photos import QUICK, TASK, pixels, receipt_of, saved
from tests.pictures import encoded, noisy_photo

WARM = np.full((40, 60, 3), (230, 150, 60), np.uint8)
COLD = np.full((50, 30, 3), (30, 80, 200), np.uint8)
NOISE = noisy_photo(70, 50, seed=8)


@pytest.fixture
async def styled(client: AsyncClient) -> Pipeline:
    """A pipeline that takes style pictures."""
    for pipeline in (await client.info()).pipelines:
        if pipeline.takes_style_images:
            return pipeline
    pytest.skip("no pipeline of this server's repository takes style pictures")


async def best_of(client: AsyncClient, pipeline: Pipeline, *style: Any, **more: Any) -> bytes:
    """The best picture's bytes, of a fixed seed."""
    arguments = {**QUICK, "seed": 5, "pipeline": pipeline.name, "style_images": style, **more}
    return (await client.generate(TASK, **arguments)).best.data


async def test_a_style_picture_changes_the_scene_and_another_one_otherwise(
    client: AsyncClient, styled: Pipeline
) -> None:
    plain = await best_of(client, styled)
    warm, cold = await best_of(client, styled, WARM), await best_of(client, styled, COLD)
    assert len({plain, warm, cold}) == 3
    assert await best_of(client, styled, WARM) == warm


async def test_the_product_stays_exact(client: AsyncClient, styled: Pipeline) -> None:
    best = (await client.generate(TASK, **QUICK, pipeline=styled.name, style_images=[NOISE])).best
    assert receipt_of(best).max_difference == 0
    assert pixels(best).shape[2] == 3


async def test_the_scale_matters_and_0_is_no_style_at_all(client: AsyncClient, styled: Pipeline) -> None:
    plain = await best_of(client, styled)
    by_scale = {scale: await best_of(client, styled, WARM, image_scale=scale) for scale in (0.0, 0.5, 2.0)}
    assert by_scale[0.0] == plain
    assert len(set(by_scale.values())) == 3
    assert await best_of(client, styled, WARM, image_scale=styled.default_image_scale) == await best_of(
        client, styled, WARM
    )


async def test_the_scale_that_was_used_is_reported(client: AsyncClient, styled: Pipeline) -> None:
    arguments = {**QUICK, "pipeline": styled.name}
    assert (await client.generate(TASK, **arguments)).settings.image_scale == 0.0
    assert (await client.generate(TASK, **arguments, image_scale=0.5)).settings.image_scale == 0.0
    by_default = await client.generate(TASK, **arguments, style_images=[WARM])
    assert by_default.settings.image_scale == pytest.approx(styled.default_image_scale)
    asked = await client.generate(TASK, **arguments, style_images=[WARM], image_scale=0.25)
    assert asked.settings.image_scale == 0.25


async def test_weights_count_by_their_ratios(client: AsyncClient, styled: Pipeline) -> None:
    even = await best_of(client, styled, WARM, COLD)
    assert await best_of(client, styled, StyleImage(WARM), StyleImage(COLD, 1.0)) == even
    assert await best_of(client, styled, StyleImage(WARM, 0.5), StyleImage(COLD, 0.5)) == even
    assert await best_of(client, styled, StyleImage(WARM, 4.0), StyleImage(COLD, 1.0)) != even
    alone = await best_of(client, styled, WARM)
    assert await best_of(client, styled, StyleImage(WARM, 8.0)) == alone


async def test_as_many_as_the_limit_says_are_taken(client: AsyncClient, styled: Pipeline) -> None:
    most = (await client.info()).limits.max_style_images
    assert await best_of(client, styled, *[noisy_photo(20, 20, seed) for seed in range(most)])


async def test_without_words_the_pictures_alone_describe_the_scene(client: AsyncClient, styled: Pipeline) -> None:
    warm, cold = [await best_of(client, styled, style, prompt="") for style in (WARM, COLD)]
    assert warm != cold


async def test_with_guidance_too(client: AsyncClient, styled: Pipeline) -> None:
    plain = await best_of(client, styled, guidance_scale=3.0)
    assert await best_of(client, styled, WARM, guidance_scale=3.0) != plain
    assert await best_of(client, styled, WARM, guidance_scale=3.0, image_scale=0.0) == plain


async def test_lossless_formats_of_the_same_picture_are_the_same(client: AsyncClient, styled: Pipeline) -> None:
    image = Image.fromarray(NOISE)
    as_array = await best_of(client, styled, NOISE)
    assert await best_of(client, styled, saved(image, "PNG")) == as_array
    assert await best_of(client, styled, saved(image, "WEBP", lossless=True)) == as_array
    assert await best_of(client, styled, saved(image, "JPEG"))


async def test_orientation_is_applied_and_metadata_does_not_matter(client: AsyncClient, styled: Pipeline) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "secret"
    buffer = io.BytesIO()
    Image.fromarray(NOISE).save(buffer, "PNG", exif=exif)
    upright = np.ascontiguousarray(np.rot90(NOISE, -1))
    assert await best_of(client, styled, buffer.getvalue()) == await best_of(client, styled, upright)


async def test_a_variants_seed_alone_makes_it_again(client: AsyncClient, styled: Pipeline) -> None:
    arguments = {**QUICK, "pipeline": styled.name, "style_images": [WARM, COLD]}
    together = await client.generate(TASK, **arguments, variants=2, seed=11)
    for picture in together.pictures:
        assert (await client.generate(TASK, **arguments, seed=picture.seed)).best.data == picture.data


async def test_previews_come_with_style_too(client: AsyncClient, styled: Pipeline) -> None:
    arguments = {**QUICK, "pipeline": styled.name, "style_images": [WARM], "preview_every": 1}
    steps = [event async for event in client.generate(TASK, **arguments) if isinstance(event, StepProgress)]
    assert steps
    assert all(step.preview.startswith(b"\xff\xd8\xff") for step in steps)


async def test_the_style_belongs_to_what_an_idempotency_key_stands_for(client: AsyncClient, styled: Pipeline) -> None:
    arguments = {**QUICK, "pipeline": styled.name, "idempotency_key": uuid.uuid4().hex}
    first = await client.generate(TASK, **arguments, style_images=[WARM])
    again = await client.generate(TASK, **arguments, style_images=[WARM])
    assert again.replayed
    assert again.pictures == first.pictures
    for other in ({"style_images": [COLD]}, {"style_images": [StyleImage(WARM, 2.0)]}, {}):
        with pytest.raises(ConflictError):
            await client.generate(TASK, **arguments, **other)


GOOD = encoded(WARM)
FIELD = "conditioning.style_images"
BAD: dict[str, tuple[dict[str, Any], Reason, str]] = {
    "empty": ({"style_images": [b""]}, Reason.INVALID_PICTURE, f"{FIELD}[0].image"),
    "garbage": ({"style_images": [GOOD, b"no picture"]}, Reason.INVALID_PICTURE, f"{FIELD}[1].image"),
    "cut off": ({"style_images": [GOOD[:60]]}, Reason.INVALID_PICTURE, f"{FIELD}[0].image"),
    "over 16 MiB": ({"style_images": [GOOD + bytes(2**24)]}, Reason.PICTURE_TOO_LARGE, f"{FIELD}[0].image"),
    "animated": (
        {"style_images": [saved(Image.new("RGB", (8, 8)), "PNG", save_all=True,
                                append_images=[Image.new("RGB", (8, 8), "red")])]},
        Reason.INVALID_PICTURE,
        f"{FIELD}[0].image",
    ),
    "too many": ({"style_images": [GOOD] * 5}, Reason.OUT_OF_RANGE, FIELD),
}  # fmt: skip
BAD |= {
    f"weight {weight}": (
        {"style_images": [GOOD, GOOD, StyleImage(GOOD, weight)]}, Reason.OUT_OF_RANGE, f"{FIELD}[2].weight",
    )
    for weight in (0.0, -1.0, 10.5, float("nan"), float("inf"))
}  # fmt: skip
BAD |= {
    f"scale {scale}": ({"style_images": [GOOD], "image_scale": scale}, Reason.OUT_OF_RANGE, "conditioning.image_scale")
    for scale in (-0.1, 2.1, float("nan"))
}


@pytest.mark.parametrize("name", BAD)
async def test_bad_style_is_refused_and_the_field_named(client: AsyncClient, styled: Pipeline, name: str) -> None:
    arguments, reason, field = BAD[name]
    with pytest.raises(InvalidRequestError) as caught:
        await client.generate(TASK, **QUICK, pipeline=styled.name, **arguments)
    assert (caught.value.reason, caught.value.field) == (reason, field)
    assert caught.value.message.endswith(".")


async def test_a_pipeline_without_image_encoders_refuses_and_names_those_that_have_them(client: AsyncClient) -> None:
    pipelines = (await client.info()).pipelines
    without = [pipeline.name for pipeline in pipelines if not pipeline.takes_style_images]
    if not without:
        pytest.skip("every pipeline of this server takes style pictures")
    for name in without:
        with pytest.raises(BackdropError) as caught:
            await client.generate(TASK, **QUICK, pipeline=name, style_images=[GOOD])
        assert isinstance(caught.value, InvalidRequestError)
        assert (caught.value.reason, caught.value.field) == (Reason.STYLE_NOT_TAKEN, FIELD)
        assert all(other.name in caught.value.message for other in pipelines if other.takes_style_images)

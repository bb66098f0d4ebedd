"""The procedural world: same seed, same bytes; masks and captions that tell the truth."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from training.config import HELD_OUT_SEED, Config
from training.data.caption_match import named_attributes
from training.data.shards import PHOTO_SEED, all_shards
from training.world.captions import background_prompt, full_caption, weather_words
from training.world.labels import (
    COLOURS,
    DETAILS,
    INDOORS,
    PALETTES,
    PRODUCTS,
    SCENES,
    TIMES,
    UNSEEN_PRODUCTS,
    WEATHERS,
    Spec,
    draw_spec,
)
from training.world.palettes import LUMA, grade
from training.world.phrases import CLEAR_SKY_WORDS, PRODUCT_WORDS, SNOWFALL_WORDS, WEATHER_WORDS
from training.world.picture import Bytes, compose, cutout_pair, empty_scene, plain_photo, render, shadow_pair
from training.world.places import PLACES
from training.world.products import MAKERS
from training.world.scenes import PAINTERS

OUTDOORS = tuple(scene for scene in SCENES if scene not in INDOORS)
PLAIN = Spec(5, "beach", "day", "clear", "natural", "blue", "palms", "mug", "red")


def spread(one: Bytes, two: Bytes) -> float:
    """Mean absolute difference of two uint8 pictures, in grey levels."""
    return float(np.abs(one.astype(np.int16) - two).mean())


def test_the_same_seed_gives_the_same_picture() -> None:
    one, two, other = render(11), render(11), render(12)
    assert one.image.tobytes() == two.image.tobytes()
    assert one.product_mask.tobytes() == two.product_mask.tobytes()
    assert one.caption == two.caption
    assert one.background == two.background
    assert one.image.tobytes() != other.image.tobytes()


def test_training_and_held_out_seeds_never_meet() -> None:
    train: set[int] = set()
    held: set[int] = set()
    for shard in all_shards(Config()):
        seeds = range(shard.first_seed, shard.first_seed + shard.count)
        (held if shard.kind.startswith("held") else train).update(seeds)
    assert train
    assert held
    assert not train & held
    assert max(train) < HELD_OUT_SEED <= min(held)
    assert Config().data.train_count < PHOTO_SEED


def test_every_label_has_its_painter() -> None:
    assert set(PAINTERS) == set(SCENES) == set(DETAILS)
    assert set(MAKERS) == set(PRODUCTS)
    assert set(UNSEEN_PRODUCTS) < set(PRODUCTS)


def test_draws_reach_every_label_and_give_no_weather_indoors() -> None:
    specs = [draw_spec(seed) for seed in range(600)]
    assert {spec.scene for spec in specs} == set(SCENES)
    assert {spec.product for spec in specs} == set(PRODUCTS)
    assert {spec.palette for spec in specs} == set(PALETTES)
    assert {spec.weather for spec in specs if spec.scene in OUTDOORS} == set(WEATHERS)
    assert {spec.weather for spec in specs if spec.scene in INDOORS} == {"clear"}
    assert all(spec.detail in DETAILS[spec.scene] and spec.colour in COLOURS for spec in specs)


@pytest.mark.parametrize("scene", SCENES)
def test_every_scene_paints_in_every_light_and_detail(scene: str) -> None:
    bare = {}
    for n, time in enumerate(TIMES):
        spec = replace(PLAIN, scene=scene, time=time, detail=DETAILS[scene][n], product=PRODUCTS[n])
        picture = render(n, 128, spec)
        assert picture.image.shape == (128, 128, 3)
        assert picture.image.dtype == np.uint8
        assert picture.image.std() > 5
        bare[spec.detail] = empty_scene(5, 128, replace(spec, time="day"))
    same = {pair for pair in combinations(bare, 2) if spread(bare[pair[0]], bare[pair[1]]) < 0.5}
    # A mountain's lake always has pines at its shore and its pines a lake before them: one picture, two names.
    assert same == ({("lake", "pines")} if scene == "mountain" else set())


@pytest.mark.parametrize("scene", OUTDOORS)
def test_night_is_darker_than_day_outdoors(scene: str) -> None:
    day, night = (
        empty_scene(5, 128, replace(PLAIN, scene=scene, detail=DETAILS[scene][0], time=time))
        for time in ("day", "night")
    )
    assert night.mean() < 0.85 * day.mean(), "even a market by its lamps"


@pytest.mark.parametrize("scene", OUTDOORS)
def test_every_weather_changes_an_outdoor_scene(scene: str) -> None:
    spec = replace(PLAIN, scene=scene, detail=DETAILS[scene][0])
    under = {weather: empty_scene(5, 128, replace(spec, weather=weather)) for weather in WEATHERS}
    for one, other in combinations(WEATHERS, 2):
        # White flakes on white ground move the mean least.
        assert spread(under[one], under[other]) > (2.5 if scene == "snow" else 5), (one, other)


@pytest.mark.parametrize("scene", INDOORS)
def test_weather_stays_outdoors(scene: str) -> None:
    spec = replace(PLAIN, scene=scene, detail=DETAILS[scene][0])
    assert (empty_scene(5, 128, spec) == empty_scene(5, 128, replace(spec, weather="rain"))).all()


def test_every_palette_grades_the_scene_its_own_way() -> None:
    under = {palette: empty_scene(5, 128, replace(PLAIN, palette=palette)) for palette in PALETTES}
    for one, other in combinations(PALETTES, 2):
        assert spread(under[one], under[other]) > 8, (one, other)
    channels = under["mono"].astype(np.int16)
    assert np.ptp(channels, axis=2).max() < 16, "mono keeps next to no colour"


def test_a_grade_keeps_natural_as_it_is_and_light_above_dark() -> None:
    ramp = np.repeat(np.linspace(0, 1, 32, dtype=np.float32)[None, None], 3, axis=0)
    assert (grade(ramp, "natural") == ramp).all()
    for palette in PALETTES:
        luma = (grade(ramp, palette) * LUMA).sum(0)
        assert (np.diff(luma) > 0).all(), palette


def test_palettes_only_hint_at_the_product() -> None:
    natural, mono = (render(5, 128, replace(PLAIN, palette=palette)) for palette in ("natural", "mono"))
    assert (natural.product_mask == mono.product_mask).all()
    inside = natural.product_mask == 255
    assert (natural.product[inside] == mono.product[inside]).all(), "mono light has no tint"
    teal = render(5, 128, replace(PLAIN, palette="teal"))
    assert 0 < spread(natural.product[inside], teal.product[inside]) < 40


def test_empty_scenes_are_the_picture_without_its_product() -> None:
    picture, empty = render(5, 128, PLAIN), empty_scene(5, 128, PLAIN)
    assert empty.shape == picture.image.shape
    assert empty.dtype == np.uint8
    differs = (picture.image != empty).any(axis=2)
    assert differs[picture.product_mask == 255].mean() > 0.95
    assert not differs[:32].any(), "the sky is far from the mug and its shadow"


def test_a_look_is_laid_under_the_product() -> None:
    bare, looked = compose(5, 128, PLAIN), compose(5, 128, PLAIN, lambda canvas, rng: canvas.image.fill(0.5))
    inside = bare.product_mask == 255
    assert (looked.product_mask == bare.product_mask).all()
    assert (looked.product[inside] == bare.product[inside]).all()
    assert (looked.image[:16] == 128).all()


@pytest.mark.parametrize("product", PRODUCTS)
def test_products_cover_a_sensible_share_of_the_picture(product: str) -> None:
    for seed in range(6):
        spec = replace(PLAIN, scene="studio", detail="plain", product=product)
        share = (render(seed, 128, spec).product_mask > 127).mean()
        assert 0.015 < share < 0.45, (product, seed)


@pytest.mark.parametrize("product", PRODUCTS)
def test_masks_are_soft_and_hold_a_product(product: str) -> None:
    spec = replace(draw_spec(3), product=product)
    for picture in (render(3, 128, spec), plain_photo(3, 128, spec)):
        mask = picture.product_mask
        assert mask.min() == 0
        assert mask.max() == 255
        assert 0.015 < (mask > 127).mean() < 0.45
        assert ((mask > 0) & (mask < 255)).any(), "the border must be anti-aliased"
        assert (picture.product[..., 3] == mask).all()
        inside = mask == 255
        assert (picture.product[..., :3][inside] == picture.image[inside]).all()


def test_captions_name_the_scene_and_the_product() -> None:
    for seed in range(300):
        spec, rng = draw_spec(seed), np.random.default_rng(seed)
        full, background = full_caption(spec, rng), background_prompt(spec, rng)
        assert spec.scene in full, full
        assert spec.scene in background, background
        assert spec.colour in full
        assert any(word in full for word in PRODUCT_WORDS[spec.product])
        assert not any(word in background for word in PRODUCT_WORDS[spec.product])


def test_words_for_the_time_agree_with_the_weather() -> None:
    sky = [phrase for phrases in CLEAR_SKY_WORDS.values() for phrase in phrases]
    said = 0
    for seed in range(600):
        spec, rng = draw_spec(seed), np.random.default_rng(seed)
        text = background_prompt(spec, rng)
        clear = any(phrase in text for phrase in sky)
        said += clear
        assert not clear or (spec.weather == "clear" and spec.scene not in INDOORS), text
        if clear:
            assert {"time", "weather"} <= named_attributes(text, spec), text
    assert said > 5


def test_rain_is_snowfall_where_there_is_snow() -> None:
    assert weather_words(replace(PLAIN, scene="snow", weather="rain")) == SNOWFALL_WORDS
    assert weather_words(replace(PLAIN, weather="rain")) == WEATHER_WORDS["rain"]


def test_every_place_gives_its_scene_away() -> None:
    for scene, places in PLACES.items():
        assert all(scene in place for place in places)


def test_a_shadow_pair_differs_only_by_the_shadow() -> None:
    pair = shadow_pair(7, 64)
    inside = pair.product_mask == 255
    assert inside.any()
    assert (pair.without[inside] == pair.shaded[inside]).all()
    assert (pair.shaded <= pair.without).all()
    assert (pair.shaded < pair.without).any()


def test_a_cutout_pair_shows_one_product_in_two_scenes() -> None:
    pair = cutout_pair(7, 8, 64)
    inside, outside = pair.product_mask == 255, pair.product_mask == 0
    assert inside.any()
    assert (pair.photo[inside] == pair.composed[inside]).all()
    assert (pair.composed[outside] == pair.scene[outside]).all()
    assert spread(pair.photo[outside], pair.scene[outside]) > 5

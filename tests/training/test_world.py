"""The procedural world: same seed, same bytes; masks and captions that tell the truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from training.config import HELD_OUT_SEED, Config
from training.shards import PHOTO_SEED, jobs
from training.world.captions import PLACES, PRODUCT_WORDS, background_prompt, full_caption
from training.world.labels import DETAILS, PRODUCTS, SCENES, TIMES, Spec, draw_spec
from training.world.picture import plain_photo, render


def test_the_same_seed_gives_the_same_picture() -> None:
    one, two, other = render(11), render(11), render(12)
    assert one.image.tobytes() == two.image.tobytes()
    assert one.product_mask.tobytes() == two.product_mask.tobytes()
    assert one.caption == two.caption
    assert one.background == two.background
    assert one.image.tobytes() != other.image.tobytes()


def test_training_and_held_out_seeds_never_meet() -> None:
    train, held = set(), set()
    for job in jobs(Config()):
        seeds = range(job.first_seed, job.first_seed + job.count)
        (held if job.kind.startswith("held") else train).update(seeds)
    assert train
    assert held
    assert not train & held
    assert max(train) < HELD_OUT_SEED <= min(held)
    assert Config().data.train_count < PHOTO_SEED


@pytest.mark.parametrize("scene", SCENES)
def test_every_scene_paints_in_every_light(scene: str) -> None:
    for n, time in enumerate(TIMES):
        spec = Spec(
            seed=n, scene=scene, time=time, accent="blue", detail=DETAILS[scene][n], product=PRODUCTS[n], colour="red"
        )
        picture = render(n, 128, spec)
        assert picture.image.shape == (128, 128, 3)
        assert picture.image.dtype == np.uint8
        assert picture.image.std() > 5


@pytest.mark.parametrize("product", PRODUCTS)
def test_masks_are_soft_and_hold_a_product(product: str) -> None:
    spec = replace(draw_spec(3), product=product)
    for picture in (render(3, 256, spec), plain_photo(3, 256, spec)):
        mask = picture.product_mask
        assert mask.min() == 0
        assert mask.max() == 255
        assert 0.01 < (mask > 127).mean() < 0.5
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


def test_every_place_gives_its_scene_away() -> None:
    for scene, places in PLACES.items():
        assert all(scene in place for place in places)

"""Every stage in the order of `make train`, two steps each, from shards to weights folders that make pictures."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from backdrop.contract.rules import TASKS
from tests.training.conftest import TinyTraining, tiny_config
from training import all as every
from training.config import Config, Schedule
from training.core import averages, diffusion, loop, lora
from training.data import checkpoint_pictures, masks, shards
from training.denoisers import (
    averaged,
    base,
    brand,
    checkpoint_pairs,
    distil,
    dit,
    image_adapter,
    inpaint,
    product,
    surroundings,
)
from training.encoded import latents, samples
from training.encoders import decoder, image_encoder, t5, text_encoders, upscaler, uve, vae
from training.evaluation import generation, held_out
from training.evaluation.context import Context
from training.evaluation.reference import Pipeline
from training.judges import classifier, reward, segmenter
from training.publish import adopt, assemble, folders
from training.world.phrases import PRODUCT_WORDS


def write_folders(config: Config) -> None:
    for name, content in assemble.trained_folders(config).items():
        folders.write(config.paths.weights / name, content)
    assemble.write_loras(config)


@pytest.fixture(scope="module")
def family(training: TinyTraining) -> Config:
    """The tiny config with every stage trained and the folders written."""
    config = training.trained(text_encoders, t5, vae)
    training.trained(decoder)
    for size in (128, 256):
        training.once(f"latents-{size}", lambda size=size: latents.run(config, size))  # type: ignore[misc]
    training.trained(upscaler, classifier, uve, image_encoder, segmenter)
    training.trained(base, inpaint, product)
    training.once("checkpoint_pairs", lambda: checkpoint_pairs.run(config))
    training.trained(reward, surroundings, image_adapter, distil, brand, dit)
    training.once("folders", lambda: write_folders(config))
    return config


def test_make_train_runs_every_stage() -> None:
    trained = [
        "base",
        "stage1",
        "stage2",
        "surroundings",
        "image_adapter",
        "distil",
        "dit",
        "brand",
        "segmenter",
        "reward",
    ]
    assert set(trained) <= set(every.NAMES)
    assert every.NAMES[0] == "shards"
    assert every.NAMES[-1] == "assemble"
    assert every.NAMES.index("base") < every.NAMES.index("stage1") < every.NAMES.index("stage2")


@pytest.mark.full
@pytest.mark.timeout(1200)
def test_all_stages_run_in_one_call_within_minutes_with_four_channels(tmp_path: Path) -> None:
    tiny = tiny_config(tmp_path)
    config = replace(tiny, vae=replace(tiny.vae, latent_channels=4), schedule=Schedule(zero_terminal=False))
    every.run(config, seconds=600)
    steps = json.loads((config.paths.weights / "backdrop" / "backdrop.json").read_text())["provenance"]["stages"]
    assert steps["stage1"] == 2
    image, mask = torch.zeros(1, 3, 64, 96), torch.ones(1, 1, 64, 96)
    for name in ("backdrop", "backdrop-fast", "backdrop-dit"):
        pipeline = Pipeline.load(config.paths.weights / name)
        assert torch.isfinite(pipeline.pictures(["a beach"], image, mask, seed=4, steps=2)).all()
    began = time.monotonic()
    every.run(config, seconds=600, first="text_encoders", last="segmenter")
    assert time.monotonic() - began < 120, "what is finished does not train again"


def test_an_early_and_a_late_checkpoint_make_the_same_products(family: Config) -> None:
    pictures = checkpoint_pictures.load(family, "held")
    assert pictures is not None
    early, late = pictures
    held = shards.load(family, "held")
    images, masks_of = held.at(np.arange(len(early)))
    for made_of in (early, late):
        assert np.array_equal(made_of[masks_of == 255], images[masks_of == 255])
    assert not np.array_equal(early, late)


def test_a_walk_that_knows_the_clean_latents_arrives_there(family: Config) -> None:
    alpha_bar, clean = diffusion.alphas(family), torch.randn(2, 4, 8, 8)
    noise = torch.randn(2, 4, 8, 8)
    start = alpha_bar[800].sqrt() * clean + (1 - alpha_bar[800]).sqrt() * noise

    def v_of(sample: Tensor, timestep: Tensor) -> Tensor:
        a, s = (diffusion.gather(x.sqrt(), timestep) for x in (alpha_bar, 1 - alpha_bar))
        return a * (sample - a * clean) / s - s * clean

    arrived = diffusion.walk(v_of, start, alpha_bar, [800, 500, 200])
    torch.testing.assert_close(arrived, clean, atol=1e-4, rtol=1e-4)


def test_each_folder_has_what_its_index_names(family: Config) -> None:
    for name in ("backdrop", "backdrop-fast", "backdrop-dit"):
        folder = family.paths.weights / name
        index = json.loads((folder / "model_index.json").read_text())
        assert all((folder / part).is_dir() for part, value in index.items() if isinstance(value, list)), name
        assert not list(folder.glob("**/*.bin"))
    shared = json.loads((family.paths.weights / "backdrop-dit" / "backdrop.json").read_text())["shares"]
    assert (family.paths.weights / "backdrop-dit" / shared).resolve() == family.paths.weights / "backdrop"


def test_a_later_training_goes_on_from_what_is_published(family: Config, tmp_path: Path) -> None:
    later = replace(family, paths=replace(family.paths, work=tmp_path))
    adopted = adopt.adopt(later)
    judges, encoders = (
        {"reward", "segmenter", "classifier"},
        {"text_encoders", "t5", "uve", "image_encoder", "upscaler"},
    )
    denoisers = {"base", "stage1", "stage2", "surroundings", "image_adapter", "dit"}
    assert judges | encoders | denoisers == set(adopted)
    for stage in (segmenter, upscaler, uve, image_encoder, reward, inpaint, t5, dit):
        one, other = stage.load(later).state_dict(), stage.load(family).state_dict()
        assert all(torch.allclose(one[name], other[name], atol=2e-3) for name in other), stage.__name__
    assert base.load(later).config["in_channels"] == family.vae.latent_channels
    assert adopt.adopt(later) == []
    # Optimiser state is not published: the optimiser starts fresh, at the step of the weights.
    network = segmenter.load(later)
    run = loop.Run(later, segmenter.STAGE, model=network, optimiser=torch.optim.AdamW(network.parameters()))
    assert run.resume() == 2


def test_a_later_training_of_larger_latents_grows_stage_1_and_the_transformer(family: Config, tmp_path: Path) -> None:
    later = replace(family, vae=replace(family.vae, latent_channels=20), paths=replace(family.paths, work=tmp_path))
    adopted = adopt.adopt(later)
    assert {"stage1", "dit", "text_encoders"} <= set(adopted)
    assert not {"base", "stage2", "surroundings", "image_adapter"} & set(adopted)
    for stage in (inpaint, dit):
        assert stage.load(later).config["out_channels"] == 20
        state = torch.load(tmp_path / stage.STAGE / "checkpoint.pt", weights_only=True)
        assert state["step"] == 0


def test_the_length_of_an_average_is_chosen_by_held_out_pictures(family: Config, tmp_path: Path) -> None:
    later = replace(family, paths=replace(family.paths, work=tmp_path))
    for name in ("shards", "vae", "decoder", "text_encoders", "tokenizer"):
        (tmp_path / name).symlink_to(family.paths.work / name)
    network = inpaint.load(family)
    tracked = averages.PowerAverages(network, tmp_path / inpaint.STAGE / averages.FOLDER)
    for _ in range(24):
        tracked.update(network)
        tracked.write()
    random = {name: torch.randn_like(value) for name, value in network.state_dict().items()}
    adopt.write(later, inpaint.STAGE, 2, adopt.CheckpointParts({"network": network.state_dict()}, random))
    before = averaged.HeldOut(later).error(random)
    least = averaged.choose(later)
    assert least == pytest.approx(averaged.HeldOut(later).error(network.state_dict()), rel=0.05)
    assert least < 0.9 * before
    kept = inpaint.load(later).state_dict()
    assert all(torch.allclose(kept[name], value, rtol=0.1, atol=0.05) for name, value in network.state_dict().items())


def test_few_steps_have_their_adapter_in_every_task_and_no_network_of_their_own(family: Config) -> None:
    folder = family.paths.weights / "backdrop-fast"
    tasks = json.loads((folder / "backdrop.json").read_text())["task_adapters"]
    assert set(tasks) == {name for name, rules in TASKS.items() if rules.sampled}
    assert all(weights["lcm"] == 1.0 for weights in tasks.values())
    assert set(tasks["background"]) == {"lcm", "products"}
    assert not list(folder.glob("**/*.safetensors"))


def test_students_share_one_update_over_both_teachers(family: Config) -> None:
    teachers = image_adapter.load(family).unet, image_adapter.load(family, inpaint.load(family)).unet
    (backgrounds, mixture), parameters = distil.students(family, teachers)
    assert all(parameter.requires_grad for parameter in parameters)
    one, other = lora.updates(mixture), lora.updates(backgrounds)
    assert all(other[name] is update for name, update in one.items())


def test_provenance_counts_the_steps_of_every_stage(family: Config) -> None:
    record = json.loads((family.paths.weights / "backdrop" / "backdrop.json").read_text())["provenance"]
    assert {"base", "stage1", "stage2", "surroundings", "image_adapter", "distil", "dit"} <= set(record["stages"])
    assert record["stages"]["distil"] == 2


@pytest.mark.parametrize("name", ["backdrop", "backdrop-fast", "backdrop-dit"])
def test_the_same_seed_makes_the_same_picture(family: Config, name: str) -> None:
    pipeline = Pipeline.load(family.paths.weights / name)
    image, mask = torch.zeros(2, 3, 64, 96), torch.ones(2, 1, 64, 96)
    one, two = (pipeline.pictures(["a beach", "a city"], image, mask, seed=4, steps=2) for _ in range(2))
    assert one.shape == image.shape
    assert torch.equal(one, two)
    assert not torch.equal(one, pipeline.pictures(["a beach", "a city"], image, mask, seed=5, steps=2))


def plain_loop(pipeline: Pipeline, texts: list[str], image: Tensor, mask: Tensor, guidance: float) -> Tensor:
    """Three steps of classifier-free guidance, written down without the walk."""
    encode = pipeline.embeddings
    conditional, unconditional = encode(texts, None, 1.0), encode([""] * len(texts), None, 0.0)
    known, generator = pipeline.mask_and_masked_latents(image, mask), torch.Generator().manual_seed(4)
    latents = torch.randn(len(texts), known.shape[1] - 1, *known.shape[2:], generator=generator)
    pipeline.scheduler.set_timesteps(3)
    draws = {"generator": generator} if type(pipeline.scheduler).__name__ == "LCMScheduler" else {}
    for timestep in pipeline.scheduler.timesteps:
        rows = torch.cat([latents, known], dim=1)
        prediction, base = (pipeline.denoiser(rows, timestep, each) for each in (conditional, unconditional))
        guided = base + guidance * (prediction - base) if guidance > 1 else prediction
        latents = pipeline.scheduler.step(guided, timestep, latents, **draws).prev_sample
    return latents


@pytest.mark.parametrize("name", ["backdrop", "backdrop-fast", "backdrop-dit"])
def test_the_walk_equals_a_plain_loop(family: Config, name: str) -> None:
    pipeline = Pipeline.load(family.paths.weights / name)
    image = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(1)) * 2 - 1
    mask = (image[:, :1] > 0).float()
    for guidance in (1.0, 3.0):
        walked = pipeline.latents(["a beach", "a city"], image, mask, seed=4, steps=3, guidance=guidance)
        with torch.no_grad():
            plain = plain_loop(pipeline, ["a beach", "a city"], image, mask, guidance)
        torch.testing.assert_close(walked, plain, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["backdrop", "backdrop-dit"])
def test_evaluation_makes_pictures_in_half_precision(family: Config, name: str) -> None:
    pipeline = Pipeline.load(family.paths.weights / name)
    image = torch.rand(3, 3, 64, 64) * 2 - 1
    products = held_out.Products(image, (image[:, :1] > 0).float())
    pictures = generation.generate(pipeline, products, ["a beach"] * 3, "test", batch=2)
    assert pictures.shape == image.shape
    known = (products.mask == 0).expand_as(image)
    assert torch.equal(pictures[known], image[known])
    assert not torch.equal(pictures, image)


def test_style_pictures_change_the_picture_and_scale_zero_does_not(family: Config) -> None:
    pipeline = Pipeline.load(family.paths.weights / "backdrop")
    assert pipeline.images is not None
    tokens = [pipeline.images.tokens([(torch.rand(3, 64, 64) * 2 - 1, 1.0)])]
    image, mask = torch.zeros(1, 3, 64, 64), torch.ones(1, 1, 64, 64)
    plain = pipeline.latents(["a beach"], image, mask, 1, steps=2)
    assert not torch.equal(plain, pipeline.latents(["a beach"], image, mask, 1, steps=2, styles=tokens))
    none = pipeline.latents(["a beach"], image, mask, 1, steps=2, styles=tokens, image_scale=0.0)
    torch.testing.assert_close(plain, none)


def test_weights_of_a_style_are_relative(family: Config) -> None:
    pipeline = Pipeline.load(family.paths.weights / "backdrop")
    assert pipeline.images is not None
    one, two = torch.rand(3, 64, 64) * 2 - 1, torch.rand(3, 64, 64) * 2 - 1
    torch.testing.assert_close(
        pipeline.images.tokens([(one, 1.0), (two, 3.0)]), pipeline.images.tokens([(one, 0.5), (two, 1.5)])
    )


def test_backgrounds_have_the_updates_and_the_image_layers(family: Config) -> None:
    served = Context(family).pipeline("backdrop").denoiser.unet.state_dict()  # type: ignore[attr-defined]
    for name, weight in image_adapter.load(family).unet.state_dict().items():
        torch.testing.assert_close(served[name], weight, atol=2e-3, rtol=2e-3)


def test_other_tasks_have_stage_1_and_the_image_layers(family: Config) -> None:
    served = Context(family).pipeline("inpaint").denoiser.unet.state_dict()  # type: ignore[attr-defined]
    for name, weight in image_adapter.load(family, inpaint.load(family)).unet.state_dict().items():
        torch.testing.assert_close(served[name], weight, atol=2e-3, rtol=2e-3)


def test_a_later_training_has_the_same_updates_and_image_layers(family: Config, tmp_path: Path) -> None:
    later = replace(family, paths=replace(family.paths, work=tmp_path))
    adopt.adopt(later)
    one, other = (
        {**image_adapter.load(config).module.state_dict(), **product.load(config).state_dict()}
        for config in (later, family)
    )
    for name, weight in other.items():
        torch.testing.assert_close(one[name], weight, atol=3e-3, rtol=3e-3, msg=name)


def test_the_mixture_has_all_tasks_with_captions_that_fit(family: Config) -> None:
    every = replace(family.diffusion, prompt_drop=0.0, mask_shares=(0.0, 0.0, 0.5, 0.5))
    source = samples.Source(replace(family, diffusion=every), inpaint.STAGE, every.inpaint)
    spec, rng = source.specs[0], np.random.default_rng(1)
    phrases = {kind: [source.task_caption(kind, spec, rng) for _ in range(60)] for kind in ("object", "hole", "border")}
    words = PRODUCT_WORDS[spec.product]
    assert all(any(word in phrase for word in words) for phrase in phrases["object"])
    assert not any(any(word in phrase for word in words) for phrase in phrases["hole"])
    assert 0.4 < phrases["hole"].count("") / 60 < 0.8
    assert 0.1 < phrases["border"].count("") / 60 < 0.5
    bank = latents.load(family, 256)
    holes = bank.task_kind == masks.KINDS.index("hole")
    assert torch.equal(bank.latent[~holes], bank.task_latent[~holes])
    assert all(not torch.equal(bank.latent[n], bank.task_latent[n]) for n in np.flatnonzero(holes))


@pytest.mark.parametrize(("whole", "product"), [(1.0, 0.0), (0.0, 1.0), (0.0, 0.0)])
def test_shares_decide_what_a_sample_of_the_mixture_knows(family: Config, whole: float, product: float) -> None:
    shares = replace(family.diffusion, whole_share=whole, product_share=product)
    source = samples.Source(replace(family, diffusion=shares), inpaint.STAGE, shares.inpaint)
    sample, bank = source.task_masks(0), latents.load(family, 128)
    picks = torch.from_numpy(sample.picks)
    if whole:
        assert (sample.mask == 1).all()
        assert torch.equal(sample.masked, bank.grey.float().expand_as(sample.masked))
    else:
        mask, masked = (bank.mask, bank.masked) if product else (bank.task_mask, bank.task_masked)
        assert torch.equal(sample.mask, mask[picks].float())
        assert torch.equal(sample.masked, masked[picks].float())
    target = bank.latent if whole or product else bank.task_latent
    assert torch.equal(sample.latent, target[picks].float())


def test_surroundings_are_borders_and_holes_mostly_without_a_word(family: Config) -> None:
    source = samples.Source(
        family, surroundings.STAGE, replace(family.diffusion.surroundings, small_steps=0, batch=200)
    )
    sample, bank = source.surroundings(0), latents.load(family, 256)
    assert {masks.KINDS[kind] for kind in bank.task_kind[sample.picks]} <= {"border", "hole"}
    assert 0.4 < sample.text.phrases.count("") / 200 < 0.9
    unknown = (sample.mask == 1).all(dim=(1, 2, 3))
    assert 0 < unknown.sum() < 60
    assert all(not phrase for phrase, blank in zip(sample.text.phrases, unknown.tolist(), strict=True) if blank)


def test_a_lora_file_adds_what_was_trained(family: Config, tmp_path: Path) -> None:
    apart, fused = brand.load_unfused(family), image_adapter.load(family).unet
    for update in lora.updates(apart).values():
        torch.nn.init.normal_(update.up, std=0.1)
    lora.save(apart, tmp_path / "brand.safetensors")
    lora.add(fused, tmp_path / "brand.safetensors")
    lora.fuse(apart)
    for (name, one), other in zip(apart.state_dict().items(), fused.state_dict().values(), strict=True):
        torch.testing.assert_close(one, other, atol=3e-3, rtol=3e-3, msg=name)


def test_the_widened_network_starts_as_the_base(family: Config) -> None:
    plain = base.load(family)
    wide = inpaint.widen(family, plain).eval()
    latent = family.vae.latent_channels
    sample, states = torch.randn(1, 2 * latent + 1, 16, 16), torch.randn(1, 77, family.text.cross_attention_dim)
    added = {"text_embeds": torch.randn(1, family.text.projection), "time_ids": torch.ones(1, 6)}
    with torch.no_grad():
        one = plain(sample[:, :latent], 500, states, added_cond_kwargs=added).sample
        other = wide(sample, 500, states, added_cond_kwargs=added).sample
    torch.testing.assert_close(one, other)

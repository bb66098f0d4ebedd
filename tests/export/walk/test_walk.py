"""The walk of a request: what each component is given, in which order, and what comes of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.plan import plan_repository
from export.rehearsal.examples import drawn
from export.repository import pipeline_entry
from export.source import PipelineFolder, open_folder
from export.walk.embeddings import Embeddings, joined_states, token_ids
from export.walk.frame import WalkFrame
from export.walk.runner import Opener, Runner, Tensors, opened, resident
from export.walk.runners import torch_runner
from export.walk.walk import Walk, WalkRequest, to_bytes
from tests.export import families
from tests.export.tiny import EXPORT_TIMEOUT_S, T5_TOKENS, TOKENS

pytestmark = pytest.mark.timeout(EXPORT_TIMEOUT_S)


def torch_opener(folder: PipelineFolder) -> Opener:
    """Opens a folder's torch modules."""
    plan = plan_repository([folder])
    names = plan.components(folder)
    return lambda role: opened(lambda: torch_runner(plan.models[names[role]]))


def answering(opener: Opener, answers: dict[str, Tensors]) -> Opener:
    """The same components; the first answer of each is kept."""

    @contextmanager
    def open_role(role: str) -> Iterator[Runner]:
        with opener(role) as run:
            yield lambda inputs: answers.setdefault(role, run(inputs))

    return open_role


@pytest.fixture(scope="module")
def sd3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stable Diffusion 3 at reduced width; read only."""
    folder = tmp_path_factory.mktemp("families") / "sd3"
    families.write_sd3(folder)
    return folder


def request(folder: PipelineFolder, **changes: Any) -> WalkRequest:
    """One step of a drawn example."""
    (example, _) = drawn()
    frame = WalkFrame.of(example.photo, example.mask, (64, 64), folder.latent_factor)
    return replace(WalkRequest(example.prompt, frame, steps=1, guidance=2.0, seed=0), **changes)


@pytest.mark.parametrize(
    ("family", "states", "tokens"),
    [
        ("ours", ["text_encoder_t5"], T5_TOKENS),
        ("sd3", ["text_encoder_l", "text_encoder_g", "text_encoder_t5"], TOKENS + T5_TOKENS),
    ],
)
def test_the_walk_and_the_exported_description_name_the_same_states(
    family: str, states: list[str], tokens: int, sd3: Path, tiny_pipelines: Path
) -> None:
    folder = open_folder(sd3 if family == "sd3" else tiny_pipelines / "tiny-dit")
    described = pipeline_entry(plan_repository([folder]), folder)["text"]["states"]
    assert described == states
    answers: dict[str, Tensors] = {}
    calls: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    opener = answering(torch_opener(folder), answers)
    Walk(folder, opener, lambda role, inputs: calls[role].append(inputs)).run([request(folder)])
    # What a server makes of the description alone, beside what the walk gave the denoiser.
    expected = joined_states({role: answers[role]["hidden_states"] for role in described})
    assert np.array_equal(calls["denoiser"][0]["encoder_hidden_states"], expected)
    assert expected.shape[1] == tokens


def test_a_latent_mask_is_an_average_or_cut_at_one_half() -> None:
    (example, _) = drawn()
    soft, hard = (WalkFrame.of(example.photo, example.mask, (64, 64), 8, hard=hard) for hard in (False, True))
    assert set(np.unique(soft.latent_mask)) > {0.0, 1.0}, "with values between"
    assert np.array_equal(hard.latent_mask, soft.mask[:, :, ::8, ::8] >= 0.5)
    assert np.array_equal(hard.masked, hard.image * (soft.mask < 0.5))


def test_a_unet_reads_both_clip_encoders(tiny_pipelines: Path) -> None:
    folder = open_folder(tiny_pipelines / "tiny")
    assert folder.states == ("text_encoder_l", "text_encoder_g")


def test_clip_is_padded_before_t5() -> None:
    clip, t5 = np.ones((1, 2, 3), np.float32), np.full((1, 4, 5), 2, np.float32)
    joined = joined_states({"text_encoder_l": clip[..., :1], "text_encoder_g": clip[..., 1:], "text_encoder_t5": t5})
    assert joined.shape == (1, 6, 5)
    assert joined[0, 0].tolist() == [1, 1, 1, 0, 0]
    assert (joined[0, 2:] == 2).all()
    assert joined_states({"text_encoder_t5": t5}) is t5


def test_a_request_without_a_photo_or_a_style(tiny_pipelines: Path) -> None:
    folder = open_folder(tiny_pipelines / "tiny")
    calls: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    walk = Walk(folder, torch_opener(folder), lambda role, inputs: calls[role].append(inputs))
    blank = WalkFrame.blank((64, 64), folder.latent_factor)
    noise = np.random.default_rng(0).standard_normal((1, 4, 8, 8)).astype(np.float32)
    first, second = walk.run([request(folder, frame=blank, seed=seed, noise=noise) for seed in (0, 1)])
    (call, _) = calls["denoiser"]
    assert (call["mask"] == 1).all()
    assert not call["image_tokens"].any()
    assert call["image_scale"].tolist() == [[0.0], [0.0]]
    assert np.array_equal(call["sample"][:1], noise)
    assert not {"image_encoder_clip", "image_encoder_uve", "image_projector"} & set(calls), (
        "there is no style to encode"
    )
    assert np.array_equal(first.latents, second.latents), "the noise was given: the seed draws none"
    assert first.picture.shape == (1, 3, 64, 64)


def test_guidance_is_that_of_the_paper(tiny_pipelines: Path) -> None:
    folder = open_folder(tiny_pipelines / "tiny")

    def run(inputs: Mapping[str, Any]) -> Tensors:
        # The prompt's row predicts 1, the empty one's 0: guided by 5 that is 5.
        return {"noise_pred": np.ones_like(inputs["sample"]) * np.array([1.0, 0.0], np.float32)[:, None, None, None]}

    walk = Walk(folder, resident({"denoiser": run}))
    zeros = np.zeros((1, 4, 8, 8), np.float32)
    rows = Embeddings({"encoder_hidden_states": np.zeros((2, TOKENS, 64), np.float32)})
    one, half, none = (
        walk.clean_latents(run, request(folder, guidance=guidance), rows, zeros) for guidance in (5.0, 2.5, 2.0 - 1e-9)
    )
    # v-prediction's clean latents are linear in what is predicted.
    assert np.allclose((one - none) / (half - none), (5.0 - 2.0) / (2.5 - 2.0), rtol=1e-3)


def test_prompts_are_padded_and_cut(tiny_pipelines: Path) -> None:
    folder = open_folder(tiny_pipelines / "tiny-dit")
    ids = token_ids(folder, "text_encoder_g", ["a b", "", "a " * 40])
    assert ids.shape == (3, TOKENS)
    assert ids[2, -1] == ids[0, -1], "a prompt that is too long still ends with the end token"
    assert token_ids(folder, "text_encoder_t5", [""]).shape == (1, T5_TOKENS)


def test_pictures_are_eight_bit_and_lie_in_order() -> None:
    picture = np.full((3, 2, 5), np.nan, np.float32)
    picture[0] = -2
    picture[1] = 1
    pixels = to_bytes(picture)
    assert pixels.shape == (2, 5, 3)
    assert pixels.flags.c_contiguous
    assert pixels[0, 0].tolist() == [0, 255, 128]


def test_what_stands_for_the_empty_prompt_follows_the_conventions(tiny_pipelines: Path) -> None:
    folder = open_folder(tiny_pipelines / "tiny")
    assert folder.conventions["empty_negative"] == "zeros"
    texts = {"encoder_hidden_states": (2, TOKENS, 64), "text_embeds": (2, 16)}
    for convention, remain in (("zeros", False), ("encode", True)):
        own = replace(folder, conventions={**folder.conventions, "empty_negative": convention})
        calls: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        Walk(own, torch_opener(own), lambda role, inputs, calls=calls: calls[role].append(inputs)).run([request(own)])
        for name, shape in texts.items():
            value = calls["denoiser"][0][name]
            assert value.shape == shape
            assert value[0].any()
            assert value[1].any() == remain


def test_the_whole_picture_is_blended_where_the_denoiser_does_not_inpaint(sd3: Path) -> None:
    folder = open_folder(sd3)
    answers: dict[str, Tensors] = {}
    calls: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    opener = answering(torch_opener(folder), answers)
    (example, _) = drawn()
    frame = WalkFrame.of(example.photo, example.mask, (64, 64), folder.latent_factor, hard=True)
    walk = Walk(folder, opener, lambda role, inputs: calls[role].append(inputs))
    (result,) = walk.run([request(folder, frame=frame)])
    assert np.array_equal(calls["vae_encoder"][0]["image"], frame.image), "not the masked picture"
    known = np.broadcast_to(frame.latent_mask == 0, result.latents.shape)
    assert 0 < known.mean() < 1
    assert np.array_equal(result.latents[known], answers["vae_encoder"]["latents"][known])
    assert not np.array_equal(result.latents[~known], answers["vae_encoder"]["latents"][~known])

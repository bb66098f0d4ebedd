"""A small pipeline whose models are plain functions: for tests of the orchestrator alone, without Triton."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from orchestrator.cache import Lookup
from orchestrator.domain import Job, MaskSource, OutputFormat
from orchestrator.repository import ROLES, ModelSpec, PipelineSpec, Repository
from orchestrator.sampler.schedule import ScheduleConfig
from orchestrator.tokenize import PromptTokenizers
from orchestrator.triton.tensors import TensorSpec
from tests.pictures import ellipse_mask, noisy_photo

Array = npt.NDArray[Any]
HEADS = ("defects", "fidelity", "aesthetics")


def pipeline_spec() -> PipelineSpec:
    """64 × 64 pictures, 77 tokens, hidden sizes 4 and 6."""
    any_input = (TensorSpec("x", "FP32", (-1,)),)
    return PipelineSpec(
        name="small",
        description="plain functions",
        models={role: ModelSpec(role, "1", f"sha256:{role}", {}, any_input, any_input) for role in ROLES},
        schedule=ScheduleConfig(1000, "scaled_linear", 0.00085, 0.012, "v_prediction", "trailing"),
        schedulers=("ddim", "euler", "dpmpp_2m", "ddpm"),
        default_scheduler="dpmpp_2m",
        default_steps=4,
        default_guidance_scale=3.0,
        latent_channels=4,
        latent_factor=8,
        preview_factors=((0.1, 0.0, 0.0),) * 4,
        preview_bias=(0.5, 0.5, 0.5),
        max_prompt_tokens=12,
        buckets=((64, 64), (48, 64), (64, 48)),
        reward_heads=HEADS,
    )


def tokenizers(folder: Path) -> tuple[Repository, PromptTokenizers]:
    """A repository of one pipeline, with word-level tokenizers in `folder`."""
    vocabulary = {"<s>": 0, "</s>": 1, "a": 2, "beach": 3, "city": 4, "?": 5}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)])
    tokenizer.enable_padding(length=12, pad_id=1, pad_token="</s>")
    for role in ("text_encoder_l", "text_encoder_g"):
        (folder / role).mkdir(parents=True)
        tokenizer.save(str(folder / role / "tokenizer.json"))
    repository = Repository(folder, {"small": pipeline_spec()}, "small")
    return repository, PromptTokenizers(repository)


class FunctionModels:
    """Answers every role with deterministic arithmetic, row by row; counts calls, can be slow or fail."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int]] = []
        self.before: Callable[[str], Awaitable[None]] | None = None

    def rows(self, model: str) -> int:
        return sum(rows for name, rows in self.calls if name == model)

    async def __call__(self, model: str, inputs: Mapping[str, Array], *, request_id: str) -> dict[str, Array]:
        rows = len(next(iter(inputs.values())))
        assert all(len(value) == rows for value in inputs.values())
        self.calls.append((model, rows))
        await asyncio.sleep(0)
        if self.before is not None:
            await self.before(model)
        answers: Callable[..., dict[str, Array]] = getattr(self, f"_{model}")
        return answers(**inputs)

    def _text_encoder_l(self, input_ids: Array) -> dict[str, Array]:
        return {"hidden_states": np.repeat(input_ids[..., None], 4, -1).astype(np.float32)}

    def _text_encoder_g(self, input_ids: Array) -> dict[str, Array]:
        states = np.repeat(input_ids[..., None], 6, -1).astype(np.float32)
        return {"hidden_states": states, "text_embeds": states.mean(1)}

    def _vae_encoder(self, image: Array) -> dict[str, Array]:
        n, _, h, w = image.shape
        return {"latents": np.repeat(image.reshape(n, 3, h // 8, 8, w // 8, 8).mean((3, 5))[:, :1], 4, 1)}

    def _denoiser(self, **inputs: Array) -> dict[str, Array]:
        shift = inputs["encoder_hidden_states"].mean((1, 2)) + inputs["text_embeds"].mean(1)
        slope = inputs["timestep"][:, 0] / 1000
        noise = np.tanh(inputs["sample"] * slope[:, None, None, None] + 0.1 * shift[:, None, None, None])
        return {"noise_pred": (noise * inputs["mask"]).astype(np.float32)}

    def _vae_decoder(self, latents: Array, image: Array, mask: Array) -> dict[str, Array]:
        grown = latents[:, :3].repeat(8, 2).repeat(8, 3)
        return {"decoded": (np.tanh(grown) * mask + image).astype(np.float32)}

    def _reward(self, image: Array, mask: Array, text_embeds: Array) -> dict[str, Array]:
        value = 1 / (1 + np.exp(-image.mean((1, 2, 3))))
        return {"scores": np.stack([value, value**2, 1 - value / 3], -1).astype(np.float32)}

    def _segmenter(self, image: Array) -> dict[str, Array]:
        n, _, h, w = image.shape
        alpha = ellipse_mask(w, h).astype(np.float32) / 255
        return {"alpha": np.broadcast_to(alpha, (n, 1, h, w)).copy()}


class DictCache:
    """The cache's interface over a dictionary."""

    def __init__(self) -> None:
        self.data: dict[str, dict[str, Array]] = {}

    async def get_or_compute(self, key: str, compute: Callable[[], Awaitable[dict[str, Array]]]) -> Lookup:
        if key in self.data:
            return Lookup(self.data[key], "memory")
        self.data[key] = await compute()
        return Lookup(self.data[key], "computed")


def job(**changes: Any) -> Job:
    """Two variants of four guided steps on a 64 × 64 photo with a hard mask."""
    values: dict[str, Any] = {
        "request_id": "0" * 32, "pipeline": pipeline_spec(), "photo": noisy_photo(64, 64),
        "mask": ellipse_mask(64, 64), "mask_source": MaskSource.REQUEST, "prompt": "a beach", "negative_prompt": "",
        "output_size": None, "placement": None, "variants": 2, "top_k": 2, "seed": 7, "steps": 4,
        "scheduler": "dpmpp_2m", "guidance_scale": 3.0, "output_format": OutputFormat.PNG, "preview_every": 0,
    }  # fmt: skip
    return Job(**(values | changes))

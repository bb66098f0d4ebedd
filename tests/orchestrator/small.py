"""Small pipelines whose models are plain functions: for tests of the orchestrator alone, without Triton.

"small" is the plainest; "small-style" takes style pictures and has a bank of adapters; "small-flow" reads T5 states and
is sampled as a flow; the denoiser of "small-text" has 4 channels: it does not see known pixels; "small-bare" has one
text encoder, no pooled text, no reward model and no segmenter; "small-large" has an upscaler, all others have none.
"""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from backdrop.contract.canvas import MaskSource
from backdrop.contract.geometry import Size
from backdrop.contract.parts import Conditioning, Delivery, Parts, Priority, Sampling, Selection, StylePicture
from orchestrator.cache import Lookup
from orchestrator.repository import (
    CORE_ROLES,
    IMAGE_ROLES,
    JUDGE_ROLES,
    T5,
    TILE_CORE,
    UPSCALER,
    AdapterSpec,
    ModelSpec,
    PipelineSpec,
    Repository,
)
from orchestrator.repository.tokenize import PromptTokenizers
from orchestrator.request import Request
from orchestrator.sampler import FlowConfig, Schedule, ScheduleConfig
from orchestrator.scheduling import Capacity
from orchestrator.scheduling.cost import BatchCost
from orchestrator.settings import Settings
from orchestrator.tasks import Task, TaskInput
from orchestrator.tasks.background import BACKGROUND, Arrangement
from orchestrator.triton.tensors import TensorSpec
from tests.pictures import ellipse_mask, noisy_photo

Array = npt.NDArray[Any]
T = TypeVar("T")
HEADS = ("defects", "fidelity", "aesthetics")
ADAPTERS = {name: AdapterSpec(row, f"sha256:{name}") for row, name in enumerate(("warm", "cold", "wet"), start=1)}
"""The bank of "small-style"."""
SLOTS = 2
"""Adapters that one of its rows may have at once."""
PIPELINES = ("small", "small-style", "small-flow", "small-text", "small-bare", "small-large")
ROLES = ("text_encoder_l", "text_encoder_g", *CORE_ROLES, *JUDGE_ROLES)
MARGIN = 3
"""Pixels that a tile of the upscaler sees around its core; it reads 2 of them."""
UVE, CLIP, TOKENS = 5, 6, (3, 10)
_KNOWN = ("mask", "masked_image_latents")
_ROWS = ("sample", *_KNOWN, "timestep", "encoder_hidden_states", "text_embeds")
_STYLE = ("image_tokens", "image_scale")
_ADAPTER = ("adapter", "adapter_scale")
_FIXED: dict[str, tuple[str, tuple[int, ...]]] = {
    "image_tokens": ("FP32", TOKENS),
    "image_scale": ("FP32", (1,)),
    "adapter": ("INT64", (SLOTS,)),
    "adapter_scale": ("FP32", (SLOTS,)),
}
# What a denoiser takes, by model; the orchestrator must send exactly this.
DENOISERS: dict[str, tuple[str, ...]] = {
    "denoiser": (*_ROWS, "time_ids"),
    "denoiser_style": (*_ROWS, "time_ids", *_STYLE, *_ADAPTER),
    "denoiser_flow": _ROWS,
    "denoiser_text": (*(name for name in _ROWS if name not in _KNOWN), "time_ids"),
    "denoiser_bare": tuple(name for name in _ROWS if name != "text_embeds"),
}
_INPUTS = DENOISERS | {"reward": ("image", "mask", "text_embeds"), "reward_blind": ("image", "mask")}


def model_spec(name: str) -> ModelSpec:
    """A model that only exists as a method of `FunctionModels`."""
    inputs = [TensorSpec(tensor, "FP32", (-1,)) for tensor in _INPUTS.get(name, ("x",)) if tensor not in _FIXED]
    if name == "denoiser_style":
        inputs += [TensorSpec(tensor, *_FIXED[tensor]) for tensor in _FIXED]
    if name == UPSCALER:
        return upscaler_spec(2)
    adapters = ADAPTERS if name == "denoiser_style" else {}
    return ModelSpec(name, "1", f"sha256:{name}", {}, tuple(inputs), (TensorSpec("y", "FP32", (-1,)),), adapters)


def upscaler_spec(factor: int) -> ModelSpec:
    """An upscaler whose tiles see `MARGIN` pixels around their cores."""
    tile = TILE_CORE + 2 * MARGIN
    inputs = (TensorSpec("image", "FP32", (3, tile, tile)),)
    outputs = (TensorSpec("upscaled", "FP32", (3, factor * tile, factor * tile)),)
    return ModelSpec(UPSCALER, "1", "sha256:upscaler", {}, inputs, outputs)


def pipeline_spec(name: str = "small") -> PipelineSpec:
    """64 × 64 pictures, 12 tokens and 20 for T5, hidden sizes 4 and 6 and 8 for T5."""
    models = {role: role for role in ROLES}
    schedule: Schedule = ScheduleConfig(1000, "scaled_linear", 0.00085, 0.012, "v_prediction", "trailing")
    schedulers: tuple[str, ...] = ("ddim", "euler", "dpmpp_2m", "ddpm", "lcm")
    default_scheduler = "dpmpp_2m"
    max_tokens = {"text_encoder_l": 12, "text_encoder_g": 12}
    if name == "small-style":
        models |= {role: role for role in IMAGE_ROLES} | {"denoiser": "denoiser_style"}
    if name == "small-text":
        models |= {"denoiser": "denoiser_text"}
    if name == "small-flow":
        models = {role: role for role in (*ROLES, T5) if role != "text_encoder_l"} | {"denoiser": "denoiser_flow"}
        schedule, schedulers, default_scheduler = FlowConfig(1000, "flow", 3.0), ("flow_euler",), "flow_euler"
        max_tokens[T5] = 20
    if name == "small-bare":
        models = {role: role for role in ("text_encoder_l", *CORE_ROLES)} | {"denoiser": "denoiser_bare"}
        max_tokens = {"text_encoder_l": 12}
    if name == "small-large":
        models |= {UPSCALER: UPSCALER}
    clip = tuple(role for role in ("text_encoder_l", "text_encoder_g") if role in models)
    return PipelineSpec(
        name=name,
        description="plain functions",
        models={role: model_spec(model) for role, model in models.items()},
        schedule=schedule,
        schedulers=schedulers,
        default_scheduler=default_scheduler,
        default_steps=4,
        default_guidance_scale=3.0,
        default_image_scale=0.75,
        latent_channels=4,
        latent_factor=8,
        preview_factors=((0.1, 0.0, 0.0),) * 4,
        preview_bias=(0.5, 0.5, 0.5),
        max_tokens=max_tokens,
        states_roles=(T5,) if name == "small-flow" else clip,
        pooled_roles=() if name == "small-bare" else ("text_encoder_g",),
        buckets=(Size(64, 64), Size(64, 48), Size(48, 64)),
        reward_heads=HEADS if "reward" in models else (),
    )


def tokenizers(folder: Path) -> tuple[Repository, PromptTokenizers]:
    """A repository of all pipelines, with word-level tokenizers in `folder`."""
    vocabulary = {"<s>": 0, "</s>": 1, "a": 2, "beach": 3, "city": 4, "?": 5}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)])
    tokenizer.enable_padding(length=12, pad_id=1, pad_token="</s>")
    for role in ("text_encoder_l", "text_encoder_g", T5):
        (folder / role).mkdir(parents=True)
        tokenizer.save(str(folder / role / "tokenizer.json"))
    pipelines = {name: pipeline_spec(name) for name in PIPELINES}
    repository = Repository(folder, pipelines, "small")
    return repository, PromptTokenizers(repository)


def server_settings(folder: Path, **changes: Any) -> Settings:
    """Settings of a server over the repository in `folder`, on a free port, without a Triton."""
    values: dict[str, Any] = {"listen": "127.0.0.1:0", "triton_endpoints": "nowhere:1", "repository": folder, **changes}
    return Settings(**values)


def capacity(replicas: int, max_rows: int) -> Capacity:
    """So many replicas, numbered from 0."""
    return Capacity(frozenset(map(str, range(replicas))), max_rows)


class KnownCost(BatchCost):
    """A batch's cost that is known beforehand, so that no clock decides who leaves with whom."""

    def __init__(self, base_s: float = 0.04, row_s: float = 0.0) -> None:
        super().__init__()
        for rows in (1, 2):
            super().record(rows, base_s + row_s * rows)

    def record(self, rows: int, seconds: float) -> None:
        pass


class FunctionModels:
    """Answers every role with deterministic arithmetic, row by row; counts calls, can be slow or fail."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int]] = []
        self.inputs: dict[str, Mapping[str, Array]] = {}  # of each model's last call
        self.factor = 2  # of the upscaler
        self.before: Callable[[str], Awaitable[None]] | None = None

    def rows(self, model: str) -> int:
        return sum(rows for name, rows in self.calls if name == model)

    async def __call__(
        self, model: str, inputs: Mapping[str, Array], *, request_id: str, again: bool = False, priority: int = 0
    ) -> dict[str, Array]:
        rows = len(next(iter(inputs.values())))
        assert all(len(value) == rows for value in inputs.values())
        self.calls.append((model, rows))
        self.inputs[model] = inputs
        await asyncio.sleep(0)
        if self.before is not None:
            await self.before(model)
        if model in DENOISERS:
            assert set(inputs) == set(DENOISERS[model])
            return self._denoise(**inputs)
        answers: Callable[..., dict[str, Array]] = getattr(self, f"_{model}")
        return answers(**inputs)

    def _text_encoder_l(self, input_ids: Array) -> dict[str, Array]:
        return {"hidden_states": np.repeat(input_ids[..., None], 4, -1).astype(np.float32)}

    def _text_encoder_g(self, input_ids: Array) -> dict[str, Array]:
        states = np.repeat(input_ids[..., None], 6, -1).astype(np.float32)
        return {"hidden_states": states, "text_embeds": states.mean(1)}

    def _text_encoder_t5(self, input_ids: Array) -> dict[str, Array]:
        return {"hidden_states": np.repeat(input_ids[..., None], 8, -1).astype(np.float32)}

    def _image_encoder_uve(self, image: Array) -> dict[str, Array]:
        return {"embedding": _direction(image, UVE), "binary": _direction(image, UVE) > 0}

    def _image_encoder_clip(self, image: Array) -> dict[str, Array]:
        return {"image_embeds": _direction(image, CLIP)}

    def _image_projector(self, clip: Array, uve: Array | None = None) -> dict[str, Array]:
        both = (clip if uve is None else np.concatenate([uve, clip], -1))[:, : TOKENS[1]]
        return {"image_tokens": np.stack([both * (n + 1) for n in range(TOKENS[0])], 1).astype(np.float32)}

    def _vae_encoder(self, image: Array) -> dict[str, Array]:
        n, _, h, w = image.shape
        return {"latents": np.repeat(image.reshape(n, 3, h // 8, 8, w // 8, 8).mean((3, 5))[:, :1], 4, 1)}

    def encoded(self, picture: Array) -> Array:
        """The latents [C, h, w] of a picture [3, H, W] in −1…1."""
        latents: Array = self._vae_encoder(picture[None])["latents"][0]
        return latents

    def _denoise(self, **inputs: Array) -> dict[str, Array]:
        shift = inputs["encoder_hidden_states"].mean((1, 2))
        if "text_embeds" in inputs:
            shift = shift + inputs["text_embeds"].mean(1)
        if "image_tokens" in inputs:
            shift = shift + inputs["image_scale"][:, 0] * inputs["image_tokens"].mean((1, 2))
        if "adapter" in inputs:
            shift = shift + (inputs["adapter_scale"] * inputs["adapter"]).sum(1)
        slope = inputs["timestep"][:, 0] / 1000
        noise = np.tanh(inputs["sample"] * slope[:, None, None, None] + 0.1 * shift[:, None, None, None])
        return {"noise_pred": (noise * inputs.get("mask", 1)).astype(np.float32)}

    def _vae_decoder(self, latents: Array, image: Array, mask: Array) -> dict[str, Array]:
        grown = latents[:, :3].repeat(8, 2).repeat(8, 3)
        return {"decoded": (np.tanh(grown) * mask + image).astype(np.float32)}

    def _reward(self, image: Array, mask: Array, text_embeds: Array) -> dict[str, Array]:
        value = 1 / (1 + np.exp(-image.mean((1, 2, 3))))
        return {"scores": np.stack([value, value**2, 1 - value / 3], -1).astype(np.float32)}

    def _reward_blind(self, image: Array, mask: Array) -> dict[str, Array]:
        value = 1 / (1 + np.exp(-image.mean((1, 2, 3))))
        return {"scores": np.stack([value, 1 - value / 3], -1).astype(np.float32)}

    def _upscaler(self, image: Array) -> dict[str, Array]:
        return {"upscaled": upscaled(image, self.factor)}

    def _segmenter(self, image: Array) -> dict[str, Array]:
        n, _, h, w = image.shape
        alpha = ellipse_mask(w, h).astype(np.float32) / 255
        return {"alpha": np.broadcast_to(alpha, (n, 1, h, w)).copy()}


def upscaled(image: Array, factor: int) -> Array:
    """Pixels repeated, and sharpened by what lies within two pixels; outside the image [n, 3, H, W] there are zeros."""
    padded = np.pad(image, ((0, 0), (0, 0), (2, 2), (2, 2)))
    height, width = image.shape[2:]
    mean = sum(padded[..., y : y + height, x : x + width] for y in range(5) for x in range(5)) / np.float32(25)
    sharper: Array = 2 * image - mean
    return sharper.repeat(factor, 2).repeat(factor, 3)


def _direction(image: Array, width: int) -> Array:
    """An embedding [n, width] of length 1 that the picture's colours decide."""
    colours = image.mean((2, 3)) + np.array([0.1, 0.2, 0.3])
    bent = np.sin(colours @ np.linspace(1, 5, 3 * width).reshape(3, width)) + 0.01
    unit: Array = (bent / np.linalg.norm(bent, axis=-1, keepdims=True)).astype(np.float32)
    return unit


class DictCache:
    """The cache's interface over a dictionary."""

    def __init__(self) -> None:
        self.data: dict[str, dict[str, Array]] = {}

    async def get_or_compute(self, key: str, compute: Callable[[], Awaitable[dict[str, Array]]]) -> Lookup:
        if key in self.data:
            return Lookup(self.data[key], "memory")
        self.data[key] = await compute()
        return Lookup(self.data[key], "computed")


def style(*colours: tuple[int, int, int], weights: Sequence[float] = ()) -> tuple[StylePicture, ...]:
    """Plain style pictures."""
    weights = weights or [1.0] * len(colours)
    pictures = zip(colours, weights, strict=True)
    return tuple(StylePicture(np.full((256, 256, 3), colour, np.uint8), weight) for colour, weight in pictures)


def request(task: Task = BACKGROUND, pipeline: PipelineSpec | str = "small", **changes: Any) -> Request:
    """Two variants of four guided steps: on a 64 × 64 photo with a hard mask, or from words where no photo is taken.

    `changes` are fields of the request's parts; `photo`, `mask`, `mask_source` and `placement` are the task's input.
    """
    spec = pipeline_spec(pipeline) if isinstance(pipeline, str) else pipeline
    values: dict[str, Any] = {
        "photo": noisy_photo(64, 64) if task.picture else None, "mask": ellipse_mask(64, 64) if task.picture else None,
        "mask_source": MaskSource.REQUEST, "placement": None, "size": None, "prompt": "a beach", "seed": 7, "steps": 4,
        "scheduler": spec.default_scheduler, "guidance_scale": 3.0, "variants": 2, "top_k": 2,
        "priority": Priority.STANDARD, "request_id": "0" * 32, **changes,
    }  # fmt: skip
    parts = Parts(
        conditioning=_taken(Conditioning, values),
        sampling=_taken(Sampling, values | {"pipeline": spec.name}),
        selection=_taken(Selection, values),
        delivery=_taken(Delivery, values),
        priority=values["priority"],
    )
    task_input = TaskInput(
        options=Arrangement((values["placement"],)) if task.frame is BACKGROUND.frame else values["placement"],
        buckets=spec.buckets,
        delivery_size=values["size"],
        picture=values["photo"],
        mask=values["mask"],
        mask_source=values["mask_source"],
    )
    assert set(changes) <= _FLAT, f"no fields of a request: {sorted(set(changes) - _FLAT)}"
    return Request(values["request_id"], spec, task, task_input, parts)


_FLAT = {"photo", "mask", "mask_source", "placement", "priority", "request_id"} | {
    field.name for part in (Conditioning, Sampling, Selection, Delivery) for field in dataclasses.fields(part)
}


def _taken(part: type[T], values: Mapping[str, Any]) -> T:
    """A part of the fields that are its own."""
    names = {field.name for field in dataclasses.fields(part)}  # type: ignore[arg-type]  # T is one of the parts
    return part(**{name: value for name, value in values.items() if name in names})

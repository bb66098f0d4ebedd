"""What the groups of figures share: pipelines, products, prompts and generated pictures."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import CLIPVisionModelWithProjection

from export.networks.image_pixels import clip_pixels
from training.config import Config
from training.core import lora
from training.data.pictures import pictures_to_tensor
from training.data.shards import PictureSet
from training.denoisers import base
from training.evaluation import generation, held_out
from training.evaluation.reference import Pipeline, UnetDenoiser
from training.judges import classifier
from training.publish.weights_folder import WeightsFolder


@dataclass
class Context:
    """One run of the measurements, with `count` generated pictures per figure."""

    config: Config
    count: int = 100
    _pipelines: dict[str, Pipeline] = field(default_factory=dict)
    _scenes_by_pipeline: dict[str, Tensor] = field(default_factory=dict)

    @cached_property
    def held(self) -> PictureSet:
        """Held-out rendered pictures."""
        return held_out.pictures(max(self.count, 256))

    @cached_property
    def products(self) -> held_out.Products:
        """Held-out products."""
        return held_out.products(self.held)

    @cached_property
    def prompts(self) -> list[held_out.Prompt]:
        """Held-out prompts, over all scenes in turn."""
        return held_out.prompts(self.count)

    @cached_property
    def judge(self) -> classifier.Classifier:
        """The classifier that judges generated pictures."""
        return classifier.load(self.config)

    def published(self, name: str) -> bool:
        """Whether a pipeline's weights folder exists."""
        return (self.config.paths.weights / name / "backdrop.json").is_file()

    def pipeline(self, name: str) -> Pipeline:
        """A published pipeline; "base" and "inpaint" are the main one with the denoiser of an earlier stage.

        Raises:
            FileNotFoundError: for "base" without its stage's checkpoint, which is not published.
        """
        if name not in self._pipelines:
            makers = {"base": self._base, "inpaint": self._inpaint}
            load = makers.get(name)
            self._pipelines[name] = load() if load else Pipeline.load(self.config.paths.weights / name)
        return self._pipelines[name]

    def _base(self) -> Pipeline:
        return self.pipeline("backdrop").with_denoiser(UnetDenoiser(base.load(self.config), takes_images=False))

    def _inpaint(self) -> Pipeline:
        """Stage 1 alone: without the adapters of a task."""
        return Pipeline.load(self._main, task=None)

    @property
    def _main(self) -> Path:
        return self.config.paths.weights / "backdrop"

    def with_lora(self, file: str, scale: float = 1.0) -> Pipeline:
        """The main pipeline with one more LoRA on its denoiser."""
        denoiser = copy.deepcopy(self.pipeline("backdrop").denoiser)
        assert isinstance(denoiser, UnetDenoiser)
        lora.add(denoiser.unet, self.config.paths.weights / "lora" / file, scale)
        return self.pipeline("backdrop").with_denoiser(denoiser)

    def scenes(self, name: str) -> Tensor:
        """A pipeline's pictures of the held-out prompts; generated once."""
        if name not in self._scenes_by_pipeline:
            texts = [prompt.text for prompt in self.prompts]
            products = self.products
            if name == "base":
                # The base takes no known pixels: it makes the whole picture.
                products = held_out.Products(products.image, torch.ones_like(products.mask))
            self._scenes_by_pipeline[name] = generation.generate(self.pipeline(name), products, texts, name)
        return self._scenes_by_pipeline[name]

    @torch.no_grad()
    def features(self, pictures: Tensor) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        """CLIP image features [N, D] of pictures before the projection, float64."""
        tower = WeightsFolder(self._main).read(CLIPVisionModelWithProjection, "image_encoder")
        parts = [tower.vision_model(clip_pixels(part, tower.config.image_size)) for part in torch.split(pictures, 32)]
        return np.asarray(torch.cat([part.pooler_output for part in parts]).double().numpy())

    def rendered(self, first: int, count: int) -> Tensor:
        """Held-out rendered pictures [count, 3, H, W]."""
        return pictures_to_tensor(self.held.at(np.arange(first, first + count))[0])

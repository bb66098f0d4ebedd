"""Writes checkpoints from the published weights, from which a later training continues.

`python -m training.publish.adopt` writes them. Optimiser state and the heads that only training uses are not published;
both start fresh. A stage that already has a checkpoint is skipped, and so is a stage that is not
published or whose published weights have another architecture; stage 1 alone also grows from a smaller one.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from diffusers import SD3Transformer2DModel, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPVisionModelWithProjection, T5EncoderModel

from export.networks import image_attention
from export.networks.image_projector import ImageProjector
from export.networks.reward import RewardModel
from export.networks.segmenter import Segmenter
from export.networks.upscaler import Upscaler
from export.networks.uve import UVE
from training.config import Config
from training.core import loop, lora, networks
from training.denoisers import base, dit, image_adapter, inpaint, product, surroundings, task_adapter
from training.denoisers.growth import grown, grown_transformer
from training.encoders import image_encoder, t5, text_encoders, upscaler, uve
from training.judges import classifier, reward, segmenter
from training.publish.assemble import PRODUCTS, SURROUNDINGS
from training.publish.weights_folder import WeightsFolder

log = logging.getLogger(__name__)

State = dict[str, Tensor]


@dataclass(frozen=True)
class CheckpointParts:
    """One stage's checkpoint: the state of each part of its `loop.Run`, and the averaged weights."""

    parts: dict[str, State]
    average: State | None = None
    begins: bool = False
    """Whether the training starts over from these weights, at step 0: another architecture was published."""


class PublishedWeights:
    """The published folder, read stage by stage."""

    def __init__(self, config: Config) -> None:
        self.config, self._path = config, config.paths.weights / "backdrop"
        self._folder = WeightsFolder(self._path)

    def steps(self) -> dict[str, int]:
        """The number of steps of each stage."""
        stages: dict[str, int] = json.loads((self._path / "backdrop.json").read_text())["provenance"]["stages"]
        judge = json.loads((self.config.paths.classifier / "config.json").read_text())
        return {**stages, classifier.STAGE: int(judge["steps"])}

    def tokenizer(self) -> None:
        """Copies the tokenizer, which all text stages need."""
        words = self.config.paths.work / "tokenizer"
        if not words.exists():
            shutil.copytree(self._path / "tokenizer", words)

    def stages(self) -> Iterator[tuple[str, Callable[[], CheckpointParts]]]:
        """Each stage whose networks are published completely, and the function that reads them."""
        c, read = self.config, self._folder.read
        yield text_encoders.STAGE, self._towers
        yield uve.STAGE, lambda: self._within(uve.Trainee(c), "uve", read(UVE, "image_encoder_uve"))
        yield (
            image_encoder.STAGE,
            lambda: self._within(
                image_encoder.Trainee(c), "tower", read(CLIPVisionModelWithProjection, "image_encoder")
            ),
        )
        yield reward.STAGE, lambda: self._within(reward.Trainee(c), "model", read(RewardModel, "reward"))
        yield segmenter.STAGE, lambda: self._alone(read(Segmenter, "segmenter"), networks.segmenter(c))
        yield upscaler.STAGE, lambda: self._alone(read(Upscaler, "upscaler"), networks.upscaler(c))
        judge = classifier.Classifier(c.small.classifier_channels)
        yield classifier.STAGE, lambda: self._alone(classifier.load(c), judge)
        yield base.STAGE, self._base
        yield inpaint.STAGE, self._denoiser
        yield product.STAGE, lambda: self._updates(PRODUCTS)
        yield surroundings.STAGE, lambda: self._updates(SURROUNDINGS)
        yield image_adapter.STAGE, self._image_adapter
        yield t5.STAGE, self._t5
        yield dit.STAGE, self._transformer

    def _towers(self) -> CheckpointParts:
        towers = text_encoders.Towers(self.config)
        towers.text_l.load_state_dict(self._folder.read(CLIPTextModel, "text_encoder").state_dict())
        towers.text_g.load_state_dict(self._folder.read(CLIPTextModelWithProjection, "text_encoder_2").state_dict())
        return CheckpointParts({"model": towers.state_dict()})

    def _of_transformer(self, kind: Any, name: str) -> Any:
        return WeightsFolder(self._path.with_name("backdrop-dit")).read(kind, name)

    def _t5(self) -> CheckpointParts:
        trainee = t5.Trainee(self.config)
        trainee.encoder.load_state_dict(self._of_transformer(T5EncoderModel, "text_encoder_3").state_dict())
        return CheckpointParts({"model": trainee.state_dict()}, trainee.state_dict())

    def _within(self, trainee: nn.Module, part: str, network: nn.Module) -> CheckpointParts:
        """A network that trains together with heads that are not published."""
        trainee.get_submodule(part).load_state_dict(network.state_dict())
        return CheckpointParts({"model": trainee.state_dict()}, network.state_dict())

    def _alone(self, network: nn.Module, like: nn.Module) -> CheckpointParts:
        like.load_state_dict(network.state_dict())
        return CheckpointParts({"model": network.state_dict()}, network.state_dict())

    def _published(self) -> UNet2DConditionModel:
        unet: UNet2DConditionModel = self._folder.read(UNet2DConditionModel, "unet")
        return unet

    def _stage1(self) -> UNet2DConditionModel:
        """The published denoiser, for stages that only go on with the same architecture."""
        unet = networks.unet(self.config)
        unet.load_state_dict(self._published().state_dict())
        return unet

    def _denoiser(self) -> CheckpointParts:
        """Stage 1; a denoiser of the config that is larger starts from the published one."""
        published = self._published()
        unet = grown(self.config, published)
        shapes = [{name: value.shape for name, value in one.state_dict().items()} for one in (unet, published)]
        return replace(_network(unet), begins=shapes[0] != shapes[1])

    def _transformer(self) -> CheckpointParts:
        published = self._of_transformer(SD3Transformer2DModel, "transformer")
        transformer = grown_transformer(self.config, published)
        same = transformer.config["in_channels"] == published.config["in_channels"]
        return replace(_network(transformer), begins=not same)

    def _base(self) -> CheckpointParts:
        """Stage 1's weights with the first channels alone."""
        state, like = (
            self._stage1().state_dict(),
            networks.unet(self.config, in_channels=self.config.vae.latent_channels),
        )
        state["conv_in.weight"] = state["conv_in.weight"][:, : like.config["in_channels"]].clone()
        like.load_state_dict(state)
        return _network(like)

    def _updates(self, adapter: str) -> CheckpointParts:
        unet, _ = task_adapter.with_lora(self.config, self._stage1())
        lora.load(unet, self.config.paths.weights / "lora" / f"{adapter}.safetensors")
        return _network(unet)

    def _image_adapter(self) -> CheckpointParts:
        denoiser = image_adapter.build(self.config, self._stage1())
        image_attention.load(denoiser.layers, self._path / "ip_adapter")
        denoiser.projector.load_state_dict(self._folder.read(ImageProjector, "image_projector").state_dict())
        return _network(denoiser.module)


def _network(network: nn.Module) -> CheckpointParts:
    return CheckpointParts({"network": network.state_dict()}, network.state_dict())


def write(config: Config, stage: str, step: int, checkpoint: CheckpointParts) -> None:
    """Writes one stage's checkpoint in the format of `loop.Run`."""
    path = config.paths.work / stage / "checkpoint.pt"
    path.parent.mkdir(parents=True, exist_ok=True)
    state: dict[str, Any] = {**checkpoint.parts, "step": step}
    if checkpoint.average is not None:
        state["average"] = {"weights": checkpoint.average, "updates": step}
    torch.save(state, path)


def adopt(config: Config) -> list[str]:
    """Writes the missing checkpoints; returns the names of their stages."""
    published = PublishedWeights(config)
    published.tokenizer()
    torch.manual_seed(config.seed)
    steps, written = published.steps(), []
    for stage, read in published.stages():
        if (config.paths.work / stage / "checkpoint.pt").exists():
            log.info("%s: skipped, it has a checkpoint", stage)
            continue
        try:
            checkpoint = read()
        except FileNotFoundError:
            log.warning("%s: skipped, it is not published", stage)
            continue
        except RuntimeError:
            log.warning("%s: skipped, the published weights have another architecture", stage)
            continue
        step = 0 if checkpoint.begins else steps.get(stage, 0)
        write(config, stage, step, checkpoint)
        log.info("%s: checkpoint written at step %d", stage, step)
        written.append(stage)
    return written


if __name__ == "__main__":
    loop.start_logging()
    adopt(Config())

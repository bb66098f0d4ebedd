"""Puts the published weights back as checkpoints, from which a later training goes on.

`python -m training.publish.adopt` writes them. The optimisers' moments are not published and start anew, and so do the
heads that only training needs. A stage that already has a checkpoint is skipped, and so is a stage whose published
weights have another architecture.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPVisionModelWithProjection

from export.networks.reward import RewardModel
from export.networks.segmenter import Segmenter
from export.networks.uve import UVE
from training.config import Config
from training.core import loop, lora, networks
from training.denoisers import base, inpaint
from training.encoders import image_encoder, text_encoders, uve
from training.evaluation.reference import Folder
from training.judges import classifier, reward, segmenter

log = logging.getLogger(__name__)

State = dict[str, Tensor]


@dataclass(frozen=True)
class Adopted:
    """One stage's checkpoint: the state of each part that `loop.Run` keeps, and the averaged weights."""

    parts: dict[str, State]
    average: State | None = None


class Published:
    """The published folder, read stage by stage."""

    def __init__(self, config: Config) -> None:
        self.config, self._path = config, config.paths.weights / "backdrop"
        self._folder = Folder(self._path)

    def steps(self) -> dict[str, int]:
        """How many steps each stage had done."""
        stages: dict[str, int] = json.loads((self._path / "backdrop.json").read_text())["provenance"]["stages"]
        judge = json.loads((self.config.paths.classifier / "config.json").read_text())
        return {**stages, classifier.STAGE: int(judge["steps"])}

    def tokenizer(self) -> None:
        """Copies the tokenizer, which every text stage reads."""
        words = self.config.paths.work / "tokenizer"
        if not words.exists():
            shutil.copytree(self._path / "tokenizer", words)

    def stages(self) -> Iterator[tuple[str, Callable[[], Adopted]]]:
        """Every stage that stands whole in the published weights, and what reads it."""
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
        judge = classifier.Classifier(c.small.classifier_channels)
        yield classifier.STAGE, lambda: self._alone(classifier.load(c), judge)
        yield base.STAGE, lambda: self._denoiser(networks.unet(c, in_channels=c.vae.latent_channels))
        yield inpaint.STAGE, lambda: self._denoiser(networks.unet(c))

    def _towers(self) -> Adopted:
        towers = text_encoders.Towers(self.config)
        towers.text_l.load_state_dict(self._folder.read(CLIPTextModel, "text_encoder").state_dict())
        towers.text_g.load_state_dict(self._folder.read(CLIPTextModelWithProjection, "text_encoder_2").state_dict())
        return Adopted({"model": towers.state_dict()})

    def _within(self, trainee: nn.Module, part: str, network: nn.Module) -> Adopted:
        """A network that trains together with heads that are thrown away afterwards."""
        trainee.get_submodule(part).load_state_dict(network.state_dict())
        return Adopted({"model": trainee.state_dict()}, network.state_dict())

    def _alone(self, network: nn.Module, like: nn.Module) -> Adopted:
        like.load_state_dict(network.state_dict())
        return Adopted({"model": network.state_dict()}, network.state_dict())

    def _denoiser(self, like: UNet2DConditionModel) -> Adopted:
        """Stage 1's weights are the served ones without stage 2's updates; the base's lack its further channels."""
        unet: UNet2DConditionModel = self._folder.read(UNet2DConditionModel, "unet")
        lora.add(unet, self.config.paths.weights / "lora" / "stage2.safetensors", scale=-1)
        state = unet.state_dict()
        state["conv_in.weight"] = state["conv_in.weight"][:, : like.config["in_channels"]].clone()
        like.load_state_dict(state)
        return Adopted({"network": state}, state)


def write(config: Config, stage: str, step: int, adopted: Adopted) -> None:
    """Writes one stage's checkpoint in the shape of `loop.Run`."""
    path = config.paths.work / stage / "checkpoint.pt"
    path.parent.mkdir(parents=True, exist_ok=True)
    state: dict[str, Any] = {**adopted.parts, "step": step}
    if adopted.average is not None:
        state["average"] = {"weights": adopted.average, "updates": step}
    torch.save(state, path)


def adopt(config: Config) -> list[str]:
    """Writes the checkpoints that are missing; returns the names of their stages."""
    published = Published(config)
    published.tokenizer()
    torch.manual_seed(config.seed)
    steps, done = published.steps(), []
    for stage, read in published.stages():
        if (config.paths.work / stage / "checkpoint.pt").exists():
            log.info("%s: has a checkpoint, left as it is", stage)
            continue
        try:
            adopted = read()
        except RuntimeError:
            log.warning("%s: the published weights have another architecture, left out", stage)
            continue
        write(config, stage, steps.get(stage, 0), adopted)
        log.info("%s: adopted at step %d", stage, steps.get(stage, 0))
        done.append(stage)
    return done


if __name__ == "__main__":
    loop.start_logging()
    adopt(Config())

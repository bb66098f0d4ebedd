"""A model of the repository as a torch module in memory: loaded, its weights rounded as they will be stored."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from diffusers.utils import logging as diffusers_logging
from torch import nn
from transformers.utils import logging as transformers_logging

from export import adapters, graph
from export.contract import SMALL
from export.models import COMPONENTS
from export.models.component import ComponentModule
from export.plan import Model
from export.running import relative, torch_outputs


@dataclass(frozen=True)
class TorchModel:
    """A model in memory."""

    network: nn.Module
    prepared: ComponentModule
    rounding: float
    """By how much rounding the weights changed the outputs, relative to the largest value."""

    @property
    def parameters(self) -> int:
        """How many numbers it has."""
        return sum(parameter.numel() for parameter in self.prepared.module.parameters())


def open_model(model: Model, bank: adapters.Bank | None = None) -> TorchModel:
    """Loads a model, with its bank of adapters if it has one.

    Raises:
        BadFolderError: if its weights cannot be used.
    """
    silence_libraries()
    component = COMPONENTS[model.source.kind.name]
    network = component.load(model.source)
    prepared = replace(component.prepare(network), name=model.name)
    rounding = round_module(prepared)
    if bank is not None:
        prepared = bank.attach(network, prepared)
        adapters.fill(network, bank.tensors())
    return TorchModel(network, prepared, rounding)


def silence_libraries() -> None:
    """Turns off the libraries' progress bars and advice; errors still arrive as exceptions."""
    libraries: tuple[Any, ...] = (diffusers_logging, transformers_logging)
    for library in libraries:
        library.set_verbosity_error()
        library.disable_progress_bar()


def round_module(prepared: ComponentModule) -> float:
    """Rounds the weights in place and returns by how much that changed the outputs, relative to the largest value."""
    inputs = prepared.sample(1, SMALL, torch.Generator().manual_seed(0))
    before = torch_outputs(prepared.module, inputs)
    graph.round_weights(prepared.module)
    after = torch_outputs(prepared.module, inputs)
    return max(relative(old, new) for old, new in zip(before, after, strict=True))

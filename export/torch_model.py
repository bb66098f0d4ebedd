"""A model of the repository as a torch module in memory, with the numbers of its folder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from diffusers.utils import logging as diffusers_logging
from torch import nn
from transformers.utils import logging as transformers_logging

from export import adapters
from export.models import COMPONENTS
from export.models.component import ComponentModule
from export.plan import Model


@dataclass(frozen=True)
class TorchModel:
    """A model in memory."""

    network: nn.Module
    prepared: ComponentModule

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
    if bank is not None:
        prepared = bank.attach(network, prepared)
        adapters.fill(network, bank.tensors())
    return TorchModel(network, prepared)


def silence_libraries() -> None:
    """Turns off the libraries' progress bars and advice; errors still arrive as exceptions."""
    libraries: tuple[Any, ...] = (diffusers_logging, transformers_logging)
    for library in libraries:
        library.set_verbosity_error()
        library.disable_progress_bar()

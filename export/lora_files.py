"""LoRA files and folders of every common format, read to one form: layer name → down, up, strength."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from export.errors import BadFolderError
from export.loras.folder import AdapterFiles, adapter_files
from export.loras.keys import Key, split
from export.loras.names import LayerNames, Target, text_encoder_of, unwrapped
from export.loras.strength import Strengths, expect_alpha
from export.tensor_files import extents


@dataclass(frozen=True)
class Update:
    """A low-rank change of one layer's weight: strength · up @ down, in the weight's shape. FP32."""

    down: Tensor
    """[r, in·k·k], the columns in the weight's order."""
    up: Tensor
    """[out, r]."""
    strength: float
    """As peft computes it: alpha / r, alpha / √r for rsLoRA; 1 where nothing says alpha."""

    @property
    def rank(self) -> int:
        """r."""
        return self.down.shape[0]

    def same(self, other: Update) -> bool:
        """Whether another update is this one, number by number."""
        return self.strength == other.strength and torch.equal(self.down, other.down) and torch.equal(self.up, other.up)


@dataclass(frozen=True)
class Lora:
    """One adapter."""

    updates: Mapping[str, Update]
    """By the layer's name in the network."""
    unserved: Mapping[str, int] = field(default_factory=dict)
    """How many of its tensors are for parts of a pipeline whose adapters are not served, by the part's folder."""

    @property
    def rank(self) -> int:
        """The largest rank of a layer."""
        return max(update.rank for update in self.updates.values())

    @property
    def left_out(self) -> str:
        """What of it is not served, in words; empty if all is."""
        return in_words(self.unserved)

    @property
    def description(self) -> str:
        """Its size and strength, in words."""
        strengths = [update.strength for update in self.updates.values()]
        ends = " to ".join(f"{value:g}" for value in sorted({min(strengths), max(strengths)}))
        partial = f"; left out: {self.left_out}" if self.unserved else ""
        return f"{len(self.updates)} layers, rank {self.rank}, strength {ends}{partial}"


def in_words(unserved: Mapping[str, int]) -> str:
    """How many tensors are for which part of a pipeline."""
    return ", ".join(f"{count} tensors of {part}" for part, count in sorted(unserved.items()))


def read_lora(path: Path, layers: Mapping[str, tuple[int, ...]], *, allow_partial: bool = False) -> Lora:
    """Reads an adapter for a network.

    Args:
        path: A safetensors file of peft, diffusers, kohya, ComfyUI or LyCORIS; or a folder with one, such as peft's,
            whose adapter_config.json says how strong it is.
        layers: The shape of every weight of the network that may be adapted, by the layer's name: [out, in] of linear
            layers, [out, in, k, k] of convolutions.
        allow_partial: Whether an adapter may be served without what it has for the text encoders.

    Raises:
        BadFolderError: if it is not a plain LoRA of this network, with one sentence that says why.
    """
    files = adapter_files(path)
    keys, metadata = read_keys(files)
    strengths = Strengths.of(path.name, metadata, files.content())
    expect_alpha(path.name, metadata, keys)
    unserved = Counter(part for key in keys if (part := text_encoder_of(key)) is not None)
    served = {key: place for key, place in keys.items() if text_encoder_of(key) is None}
    written = read_layers(path.name, served, LayerNames(layers), metadata)
    expect_whole(path.name, unserved, bool(written), allow_partial)
    updates: dict[str, Update] = {}
    for targets, layer in written.items():
        for name, update in layer.updates(targets, layers, strengths):
            if not updates.setdefault(name, update).same(update):
                raise BadFolderError(f"{path.name} adapts {name} twice, in different tensors.")
    if not strengths.configs:
        expect_alphas(path.name, written)
    if all(update.strength == 0 for update in updates.values()):
        raise BadFolderError(f"{path.name} has strength 0 in every layer, so that it would change nothing.")
    return Lora({name: updates[name] for name in sorted(updates)}, unserved)


def read_keys(files: AdapterFiles) -> tuple[dict[str, Path], dict[str, str]]:
    """The keys of an adapter, with the file of each, and the files' metadata.

    Raises:
        BadFolderError: if a file is damaged, or two hold the same key.
    """
    keys: dict[str, Path] = {}
    metadata: dict[str, str] = {}
    for path in files.weights:
        for extent in extents(path):
            if extent.name in keys:
                raise BadFolderError(f"{path.name} and {keys[extent.name].name} both hold {extent.name}.")
            keys[extent.name] = path
        with opened(path) as file:
            metadata |= file.metadata() or {}
    return dict(sorted(keys.items())), metadata


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Opens a safetensors file.

    Raises:
        BadFolderError: if safetensors cannot read it, or one of its tensors inside the block.
    """
    try:
        with safe_open(path, "pt") as file:
            yield file
    except SafetensorError as error:
        raise BadFolderError(f"{path.name} is no file that safetensors can read: {error}.") from error


def read_layers(
    label: str, keys: Mapping[str, Path], names: LayerNames, metadata: Mapping[str, str]
) -> dict[tuple[Target, ...], WrittenLayer]:
    """The tensors of an adapter, by the network's layers that they change.

    Raises:
        BadFolderError: if one belongs to another network, to a second adapter, or to something other than a plain LoRA.
    """
    written: dict[tuple[Target, ...], WrittenLayer] = defaultdict(lambda: WrittenLayer(label))
    unknown: dict[str, None] = {}
    adapters: dict[str | None, None] = {}
    for text, tensor in read_tensors(keys):
        key = split(label, text)
        if key.part != "alpha":
            adapters[key.adapter] = None
        if len(adapters) > 1:
            several = ", ".join(adapter or "unnamed" for adapter in adapters)
            raise BadFolderError(f"{label} holds several adapters ({several}); save one of them.")
        if targets := names.find(key.layer):
            written[targets].add(key, tensor)
        else:
            unknown[unwrapped(key.layer)] = None
    expect_one_network(label, list(unknown), len(written), metadata)
    return dict(written)


def read_tensors(keys: Mapping[str, Path]) -> Iterator[tuple[str, Tensor]]:
    """Tensors of an adapter, file by file, as stored."""
    for path in dict.fromkeys(keys.values()):
        with opened(path) as file:
            for key in (key for key, place in keys.items() if place == path):
                yield key, file.get_tensor(key)


def expect_one_network(label: str, unknown: list[str], count: int, metadata: Mapping[str, str]) -> None:
    """Refuses an adapter of other layers than the network's."""
    if not unknown:
        return
    family = metadata.get("modelspec.architecture") or metadata.get("ss_base_model_version")
    trained = f"; it was trained for {family}" if family else ""
    also = f"; nor {len(unknown) - 1} others of its {count + len(unknown)}" if len(unknown) > 1 else ""
    raise BadFolderError(f"{label} adapts {unknown[0]}, a layer that this denoiser does not have{also}{trained}.")


def expect_whole(label: str, unserved: Mapping[str, int], denoiser: bool, allow_partial: bool) -> None:
    """Refuses an adapter whose text encoders' part would be left out, unless that is allowed."""
    if not denoiser:
        what = f"only text encoders ({in_words(unserved)})" if unserved else "nothing"
        raise BadFolderError(f"{label} adapts {what}; there is no layer of the denoiser in it.")
    if unserved and not allow_partial:
        raise BadFolderError(
            f"{label} also adapts text encoders, whose adapters are not served: {in_words(unserved)}; "
            f"--allow-partial serves it without them."
        )


def expect_alphas(label: str, written: Mapping[tuple[Target, ...], WrittenLayer]) -> None:
    """Refuses a file with alpha for some layers alone: loaders disagree on the strength of the others."""
    without = [targets[0].layer for targets, layer in written.items() if not layer.has_alpha]
    if 0 < len(without) < len(written):
        raise BadFolderError(
            f"{label} has alpha tensors, but none for {len(without)} of its {len(written)} layers, such as "
            f"{without[0]}; add them (alpha = rank is strength 1)."
        )


class WrittenLayer:
    """The tensors that a file has for one layer, which may be several of the network, fused."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._written: dict[str, None] = {}
        self._parts: dict[str, Tensor] = {}

    @property
    def has_alpha(self) -> bool:
        """Whether it has an alpha tensor."""
        return "alpha" in self._parts

    def add(self, key: Key, tensor: Tensor) -> None:
        """Adds a tensor.

        Raises:
            BadFolderError: if it is not of floating-point numbers, or another of that part is there, by another name.
        """
        number = key.part == "alpha"
        if not tensor.is_floating_point() and (not number or tensor.is_complex()):
            raise BadFolderError(f"{self._label}: {key.layer} is of {tensor.dtype}, not of floating-point numbers.")
        if number and tensor.numel() != 1:
            raise BadFolderError(f"{self._label}: alpha of {key.layer} is {list(tensor.shape)}, not one number.")
        value, earlier = tensor.float(), self._parts.get(key.part)
        if earlier is not None and not torch.equal(earlier, value):
            raise BadFolderError(f"{self._label} adapts {key.layer} twice, in different tensors.")
        self._written[key.layer] = None
        self._parts[key.part] = value

    def updates(
        self, targets: tuple[Target, ...], layers: Mapping[str, tuple[int, ...]], strengths: Strengths
    ) -> Iterator[tuple[str, Update]]:
        """The update of each of the network's layers that it is made of.

        Raises:
            BadFolderError: if a half is missing, or they do not fit each other or the layer.
        """
        first = targets[0].layer
        missing = [part for part in ("down", "up") if part not in self._parts]
        if missing:
            raise BadFolderError(f"{self._label} has no {missing[0]} matrix for {first}.")
        down, up = self._parts["down"], self._parts["up"]
        if "mid" in self._parts:
            down = self._with_core(first, down, self._parts["mid"])
        shape = (len(targets) * layers[first][0], *layers[first][1:])
        self._expect_shapes(first, shape, down, up)
        alpha = self._parts.get("alpha")
        # peft's patterns match the name within the model that peft was given, whatever that was.
        names = [
            first,
            *map(unwrapped, self._written),
            *(name.removeprefix("base_model.model.") for name in self._written),
        ]
        strength = strengths.of_layer(names, down.shape[0], None if alpha is None else float(alpha))
        for target in targets:
            rows = up.flatten(1).chunk(len(targets))[target.place.part]
            rows = torch.cat(rows.chunk(2)[::-1]) if target.place.swapped else rows
            yield target.layer, Update(down.flatten(1), rows.contiguous(), strength)

    def _with_core(self, name: str, down: Tensor, core: Tensor) -> Tensor:
        rank = down.shape[0] if down.ndim >= 2 else 0
        if core.ndim != 4 or core.shape[:2] != (rank, rank) or not rank or down[0].numel() != down.shape[1]:
            raise BadFolderError(
                f"{self._label}: the Tucker core {list(core.shape)} of {name} does not fit down {list(down.shape)}."
            )
        return torch.einsum("mnhw,ni->mihw", core, down.flatten(1))

    def _expect_shapes(self, name: str, shape: tuple[int, ...], down: Tensor, up: Tensor) -> None:
        rank = down.shape[0] if min(down.ndim, up.ndim) >= 2 else 0
        # A 1 × 1 convolution and a linear layer are the same thing, and files write one for the other.
        fits = rank > 0 and down[0].numel() == torch.Size(shape[1:]).numel() and up.numel() == shape[0] * rank
        if not fits or up.shape[0] != shape[0] or down.shape[1] != shape[1]:
            raise BadFolderError(
                f"{self._label}: {name} is {list(shape)}, which down {list(down.shape)} and up {list(up.shape)} "
                f"do not fit."
            )
        if not (down.isfinite().all() and up.isfinite().all()):
            raise BadFolderError(f"{self._label}: {name} has values that are not finite.")

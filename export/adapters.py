"""The adapters of a served denoiser: their rows in its bank, and the file that holds the bank."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import diffusers
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from export import bank_reuse, graph
from export.bank_reuse import FILE
from export.contract import Size, TensorSpec
from export.errors import BadFolderError, ExportError
from export.layout import Source
from export.lora_files import Lora, read_lora
from export.loras.folder import adapter_files
from export.models.component import ComponentModule, Inputs
from export.networks import adapter_bank, image_attention
from export.networks.adapter_bank import DOWN, UP
from export.plan import RepositoryPlan
from export.report import DiskSizes
from export.tracing import Told, untold

CAPACITY = 4
SLOTS = 3
"""Adapters that a row may have at once, where the bank has room for as many."""
FP16_MAX = 65504.0


@dataclass(frozen=True)
class LoraRef:
    """A LoRA, and the name under which a denoiser serves it."""

    name: str
    path: Path
    """A safetensors file, or a folder such as peft's."""
    pipeline: str | None = None
    """Whose denoiser gets it; None for the first pipeline's."""
    own: bool = False
    """Whether the pipeline's folder brings it along: it has a row beyond those that are asked for."""


@dataclass(frozen=True)
class AdapterSelection:
    """The adapters of a repository, and the size of their banks."""

    adapters: tuple[LoraRef, ...]
    capacity: int = CAPACITY
    """Rows reserved in each bank, not counting the folder's own adapters."""
    rank: int | None = None
    """The rank reserved; None for the largest among the files."""
    allow_partial: bool = False
    """Whether adapters are served without what they have for the text encoders."""
    slots: int | None = None
    """Adapters that a row may have at once, plus a task's own; None for `SLOTS`, or the rows if they are fewer."""


@dataclass(frozen=True)
class Bank:
    """The adapters of one denoiser."""

    layers: Mapping[str, tuple[int, ...]]
    """The shapes of the weights that some adapter changes, by layer."""
    capacity: int
    """Rows for adapters, row 0 apart."""
    rank: int
    """The largest that fits; smaller ones are padded with zeros."""
    adapters: tuple[tuple[LoraRef, Lora], ...]
    """From row 1 on."""
    slots: int = 1
    """Adapters that a row may have at once, K; the bank itself does not depend on it, the graph does."""
    dtype: torch.dtype = torch.float32
    """Of its numbers: `float16` where the denoiser's weights are stored so, or where it computes in less than FP32."""

    def tensors(self) -> dict[str, Tensor]:
        """The bank, by the names of the layers' buffers.

        Raises:
            BadFolderError: if an adapter is too strong for a bank of fp16.
        """
        tensors: dict[str, Tensor] = {}
        for layer, (out, width, *kernel) in self.layers.items():
            kh, kw = kernel or (1, 1)
            down = torch.zeros(1 + self.capacity, kw, kh, self.rank, width)
            up = torch.zeros(1 + self.capacity, self.rank, out)
            for row, (ref, lora) in enumerate(self.adapters, start=1):
                if (update := lora.updates.get(layer)) is None:
                    continue
                # The taps' order is the one in which the layer sums them: columns first, then lines.
                down[row, :, :, : update.rank] = update.down.view(-1, width, kh, kw).permute(3, 2, 0, 1)
                up[row, : update.rank] = update.strength * update.up.T
                most = max(float(half[row].abs().max()) for half in (down, up))
                if self.dtype == torch.float16 and most > FP16_MAX:
                    raise BadFolderError(f"{ref.path.name}: {layer} has values that fp16 cannot hold.")
            tensors[f"{layer}.{DOWN}"], tensors[f"{layer}.{UP}"] = down.flatten(1, 3).to(self.dtype), up.to(self.dtype)
        return tensors

    def placeholders(self) -> dict[str, Tensor]:
        """Random numbers in the bank's shapes.

        The graph is traced with these. The exporter merges equal tensors and folds constants away. Adapters have
        many of both (zeros in layers that an adapter does not change), and the next adapter might not.
        """
        generator = torch.Generator().manual_seed(0)
        shapes = {name: value.shape for name, value in self.tensors().items()}
        return {name: torch.randn(shape, generator=generator).to(self.dtype) for name, shape in shapes.items()}

    @property
    def layout(self) -> dict[str, Any]:
        """What the graph depends on."""
        return {
            "layers": {name: list(shape) for name, shape in self.layers.items()},
            "dtype": str(self.dtype),
            **self.size,
        }

    @property
    def size(self) -> dict[str, int]:
        """Its rows, their rank, and how many of them a row of a batch may name."""
        return {"rows": self.capacity, "rank": self.rank, "slots": self.slots}

    def entry(self) -> dict[str, Any]:
        """What `pipeline.json` says of a denoiser's adapters."""
        return {
            **self.size,
            "names": {
                ref.name: {
                    "row": row,
                    "digest": f"sha256:{adapter_files(ref.path).digest()}",
                    # What the adapter has beside the denoiser's layers, and this repository does not serve.
                    **({"left_out": dict(lora.unserved)} if lora.unserved else {}),
                }
                for row, (ref, lora) in enumerate(self.adapters, start=1)
            },
        }

    def notes(self) -> list[str]:
        """What a user should know of its adapters: what is left out of them."""
        return [
            f"The adapter {ref.name} is served without its part for text encoders ({lora.left_out})."
            for ref, lora in self.adapters
            if lora.unserved
        ]

    def attach(self, network: nn.Module, prepared: ComponentModule) -> ComponentModule:
        """Puts the bank, still empty, on `network`, which is the one inside `prepared`, and adds its two inputs."""
        rows = adapter_bank.install(network, self.layers, self.capacity, self.rank, self.slots)
        inputs = (TensorSpec("adapter", "INT64", (self.slots,)), TensorSpec("adapter_scale", "FP32", (self.slots,)))

        def sample(count: int, size: Size, generator: torch.Generator) -> Inputs:
            # Slots name different adapters in turn, none among them, each at its own scale.
            adapter = (torch.arange(count * self.slots) + 1) % (1 + self.capacity)
            scale = torch.linspace(1, 0.5, count * self.slots)
            shape = (count, self.slots)
            return (*prepared.sample(count, size, generator), adapter.view(shape), scale.view(shape))

        module = adapter_bank.AdaptedDenoiser(prepared.module, rows, self.capacity).eval()
        return replace(prepared, module=module, inputs=(*prepared.inputs, *inputs), sample=sample)


def fill(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Copies a bank's numbers onto the network that it is attached to."""
    for name, values in tensors.items():
        network.get_buffer(name).copy_(values)


def write(
    bank: Bank,
    network: nn.Module,
    prepared: ComponentModule,
    path: Path,
    files: Mapping[str, Path],
    served: Sequence[Path],
    tell: Told = untold,
) -> DiskSizes:
    """Writes the graph of `prepared`, which has the bank on its `network`, and the bank beside it.

    The offsets in the bank's file depend on names and shapes alone. So the graph is the same for all adapters that fit
    into its rows and rank and change the same layers: then an earlier graph is reused, and nothing is traced. The
    network keeps random adapters.

    Args:
        bank: The adapters.
        network: The network inside `prepared`.
        prepared: The component, with the bank's two inputs.
        path: The graph to write.
        files: The component's safetensors files, by the names they get beside the graph.
        served: Version folders of the same precision that may have such a graph; they need not exist.
        tell: Told the parts of the work.
    """
    tensors, placeholders = bank.tensors(), bank.placeholders()
    with TemporaryDirectory() as folder:
        beside = Path(folder) / FILE
        save_file(placeholders, beside)
        files = {**files, FILE: beside}
        reusable = next((version for version in served if bank_reuse.fits(version, files, prepared.contract)), None)
        if reusable is not None:
            shutil.copytree(reusable, path.parent, dirs_exist_ok=True)
            disk = bank_reuse.disk_sizes(path)
        else:
            fill(network, placeholders)
            disk = graph.write(prepared, path, files, tell)
        save_file(tensors, beside)
        # Copied: safetensors writes files that only their owner can read, and the server runs as another user.
        shutil.copyfile(beside, path.with_name(FILE))
    return disk


def open_banks(plan: RepositoryPlan, selection: AdapterSelection) -> dict[str, Bank]:
    """Reads and checks every adapter of a selection; returns the banks by their denoisers' names.

    Raises:
        BadFolderError: if a file is not a LoRA of its pipeline's denoiser.
        ExportError: if two have the same name, or they do not fit into the bank.
    """
    chosen: dict[str, list[LoraRef]] = {}
    components = {folder.name: plan.components(folder) for folder in plan.pipelines}
    for one in selection.adapters:
        pipeline = one.pipeline or plan.pipelines[0].name
        if pipeline not in components:
            raise ExportError(f"There is no pipeline {pipeline!r} for the adapter {one.name}.")
        others = chosen.setdefault(components[pipeline]["denoiser"], [])
        place = next((n for n, other in enumerate(others) if other.name == one.name), None)
        if place is None:
            others.append(one)
        # Pipelines that share a denoiser may bring the same file along, and an option replaces it for all of them.
        elif others[place].own and not one.own:
            others[place] = one
        elif not one.own or others[place].path.resolve() != one.path.resolve():
            raise ExportError(f"Two adapters of {pipeline} are called {one.name}.")
    return {
        model: open_bank(
            plan.models[model].source,
            files,
            selection.capacity,
            selection.rank,
            allow_partial=selection.allow_partial,
            slots=selection.slots,
            own_slots=max(
                len(weights)
                for folder in plan.pipelines
                if components[folder.name]["denoiser"] == model
                for weights in ({}, *folder.settings["task_adapters"].values())
            ),
        )
        for model, files in chosen.items()
    }


def open_bank(
    source: Source,
    refs: Sequence[LoraRef],
    capacity: int = CAPACITY,
    rank: int | None = None,
    allow_partial: bool = False,
    slots: int | None = None,
    own_slots: int = 0,
) -> Bank:
    """Reads the adapters of one denoiser; `own_slots` are for a task's own adapters."""
    own = sum(ref.own for ref in refs)
    if (count := len(refs) - own) > capacity:
        raise ExportError(f"{count} adapters do not fit into {capacity} rows; ask for --adapter-rows {count}.")
    if slots is not None and slots > capacity:
        raise ExportError(f"--adapter-slots {slots} is more than the {capacity} rows of the bank (--adapter-rows).")
    shapes = layer_shapes(source)
    loras = tuple((ref, read_lora(ref.path, shapes, allow_partial=allow_partial)) for ref in refs)
    largest = max(loras, key=lambda pair: pair[1].rank)
    if rank is not None and largest[1].rank > rank:
        raise ExportError(f"{largest[0].path.name} has rank {largest[1].rank}, more than the bank's {rank}.")
    layers = sorted({layer for _, lora in loras for layer in lora.updates})
    return Bank(
        layers={layer: shapes[layer] for layer in layers},
        capacity=capacity + own,
        rank=rank or largest[1].rank,
        adapters=loras,
        slots=(slots or min(SLOTS, capacity)) + own_slots,
    )


def layer_shapes(source: Source) -> dict[str, tuple[int, ...]]:
    """The weights of a denoiser that an adapter may change, from its config: nothing is loaded."""
    cls = getattr(diffusers, source.kind.classes[0])
    with torch.device("meta"):
        try:
            network = cls.from_config(dict(source.config))
        except Exception as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise BadFolderError(f"{source.folder.name}/config.json is none of {cls.__name__}: {reason}") from error
        if source.adapter is not None:
            image_attention.install(network)
    return {name: tuple(layer.weight.shape) for name, layer in adapter_bank.adaptable(network).items()}

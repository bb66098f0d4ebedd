"""The bank of adapters in torch: rows of a batch against networks with their adapters fused into the weights."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from export import adapters
from export.adapters import Bank, LoraRef
from export.contract import Size
from export.errors import ExportError
from export.lora_files import Lora
from export.models import COMPONENTS
from export.models.component import Inputs
from export.networks import adapter_bank
from export.running import relative
from tests.export import loras, tiny

ROWS, SLOTS, SIZE = 4, 3, Size(height=64, width=96, tokens=16)
SCALES = (1.0, 0.5, 2.0, 0.25)
"""Of each row's only adapter."""
Slots = tuple[tuple[int, float], ...]
"""The adapters of a row: number in the bank, and scale; the row's other slots are free."""
ALONE: list[Slots] = [((row + 1, scale),) for row, scale in enumerate(SCALES)]
MIXED: list[Slots] = [
    ((1, 1.0), (2, 0.5), (3, -0.5)),
    ((4, 0.25), (1, 2.0)),
    (),
    ((3, 0.75), (4, 1.0), (2, 0.5)),
]


@dataclass(frozen=True)
class Case:
    """A denoiser with four adapters in its bank, and the same denoiser without."""

    name: str
    folder: Path
    loras: tuple[Lora, ...]
    adapted: nn.Module
    inputs: Inputs

    def plain(self) -> tuple[nn.Module, nn.Module]:
        """The network as it was, and the row contract around it."""
        component = COMPONENTS[self.name]
        network = component.load(tiny.source(self.folder, self.name))
        return network, component.prepare(network).module

    def run(self, rows: list[Slots], which: slice = slice(None)) -> Tensor:
        """The denoiser's answer for some of the rows."""
        slots = [(*row, *[(0, 7.0)] * (SLOTS - len(row))) for row in rows]
        adapter = torch.tensor([[number for number, _ in row] for row in slots])
        scale = torch.tensor([[scale for _, scale in row] for row in slots])
        with torch.inference_mode():
            outputs: Tensor = self.adapted(*(value[which] for value in self.inputs), adapter, scale)
        return outputs


@pytest.fixture(scope="module", params=["denoiser", "denoiser_dit"])
def case(request: pytest.FixtureRequest, tiny_pipelines: Path) -> Case:
    """Four adapters of ranks 1 to 8; the second leaves half of the layers alone."""
    component, source = COMPONENTS[request.param], tiny.source(tiny_pipelines, request.param)
    shapes = adapters.layer_shapes(source)
    some = dict(list(shapes.items())[::2])
    random_loras = tuple(
        loras.random_lora(some if rank == 3 else shapes, rank, seed=rank, strength=0.5) for rank in (8, 3, 1, 5)
    )
    refs = tuple((LoraRef(f"lora{n}", Path("x")), lora) for n, lora in enumerate(random_loras))
    bank = Bank(shapes, 4, 8, refs, SLOTS)
    network = component.load(source)
    prepared = bank.attach(network, component.prepare(network))
    adapters.fill(network, bank.tensors())
    inputs = prepared.sample(ROWS, SIZE, torch.Generator().manual_seed(1))[:-2]
    return Case(request.param, tiny_pipelines, random_loras, prepared.module, inputs)


@pytest.mark.parametrize("rows", [ALONE, MIXED], ids=["one each", "up to three each"])
def test_rows_of_one_batch_are_runs_with_fused_weights(case: Case, rows: list[Slots]) -> None:
    together = case.run(rows)
    network, module = case.plain()
    before = copy.deepcopy(network.state_dict())
    with torch.inference_mode():
        plain = module(*case.inputs)
    for row, slots in enumerate(rows):
        network.load_state_dict(before)
        for number, scale in slots:
            loras.fuse(network, case.loras[number - 1], scale)
        with torch.inference_mode():
            alone = module(*(value[row : row + 1] for value in case.inputs))
        assert relative(alone.numpy(), together[row : row + 1].numpy()) <= 1e-4
        changed = relative(plain[row : row + 1].numpy(), alone.numpy()) > 1e-2
        assert changed == bool(slots), "the adapters change nothing"


def test_no_adapter_is_the_plain_network_to_the_last_bit(case: Case) -> None:
    with torch.inference_mode():
        plain = case.plain()[1](*case.inputs)
    assert torch.equal(case.run([()] * ROWS), plain)
    assert torch.equal(case.run([((1, 0.0), (2, 0.0), (3, 0.0))] * ROWS), plain)
    mixed = case.run([(), ALONE[1], (), MIXED[0]])
    assert torch.equal(mixed[0], plain[0])
    assert torch.equal(mixed[2], plain[2])


def test_a_row_alone_is_the_row_among_others(case: Case) -> None:
    together = case.run(MIXED)
    for row in range(ROWS):
        alone = case.run(MIXED[row : row + 1], slice(row, row + 1))
        assert relative(alone.numpy(), together[row : row + 1].numpy()) <= 1e-5


def test_a_row_that_the_bank_lacks_is_none(case: Case) -> None:
    outputs = case.run([((5, 1.0),), ((-1, 1.0), (1 << 40, 1.0)), (), ((2, 1.0), (9, 1.0))])
    assert torch.equal(outputs, case.run([(), (), (), ((2, 1.0),)]))


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [(1, 1, 0), (3, 1, 1), (3, 2, 1), (2, 2, 0), (3, 2, 0), ((3, 1), (2, 1), (1, 0))]
)
@pytest.mark.parametrize("slots", [1, 2])
def test_convolutions_of_every_kind(kernel: int, stride: int, padding: int, slots: int) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(5, 7, kernel, stride, padding)
    network = nn.ModuleDict({"conv": layer})
    shapes = {"conv": tuple(layer.weight.shape)}
    every = [loras.random_lora(shapes, 3, seed=n) for n in range(slots)]
    bank = Bank(shapes, slots, 4, tuple((LoraRef(f"{n}", Path("x")), lora) for n, lora in enumerate(every)), slots)
    rows = adapter_bank.install(network, shapes, slots, 4, slots)
    adapters.fill(network, bank.tensors())
    x = torch.randn(2, 5, 9, 8)
    rows.assign(torch.tensor([range(1, slots + 1), [0] * slots]), torch.full((2, slots), 1.5))
    outputs = layer(x)
    rows.adapter = None
    plain = layer(x)
    for lora in every:
        loras.fuse(network, lora, 1.5)
    assert torch.allclose(outputs[0], layer(x)[0], atol=1e-5)
    assert torch.equal(outputs[1], plain[1])
    assert not torch.allclose(plain[0], layer(x)[0], atol=1e-3)


def test_a_grouped_convolution_is_refused() -> None:
    with pytest.raises(ExportError, match="conv is a convolution of a kind that cannot be adapted"):
        adapter_bank.install(nn.ModuleDict({"conv": nn.Conv2d(4, 4, 3, groups=2)}), ["conv"], 1, 1, 1)


def test_shifts_sum_what_a_kernel_of_ones_sums() -> None:
    x = torch.randn(1, 1, 1, 6)
    outputs = adapter_bank.sum_shifted(x.repeat(1, 3, 1, 1), 3, 1, columns=True)
    assert torch.allclose(outputs, functional.conv2d(x, torch.ones(1, 1, 1, 3), padding=(0, 1)), atol=1e-6)

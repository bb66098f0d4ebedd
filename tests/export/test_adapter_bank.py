"""The bank of adapters in torch: rows of a batch against networks with one adapter fused into their weights."""

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

ROWS, SIZE = 4, Size(height=64, width=96, tokens=16)
SCALES = torch.tensor([[1.0], [0.5], [2.0], [0.25]])


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

    def run(self, adapter: list[int], scale: Tensor, rows: slice = slice(None)) -> Tensor:
        """The denoiser's answer for some of the rows."""
        with torch.inference_mode():
            outputs: Tensor = self.adapted(
                *(value[rows] for value in self.inputs), torch.tensor(adapter)[:, None], scale
            )
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
    bank = Bank(shapes, 4, 8, tuple((LoraRef(f"lora{n}", Path("x")), lora) for n, lora in enumerate(random_loras)))
    network = component.load(source)
    prepared = bank.attach(network, component.prepare(network))
    adapters.fill(network, bank.tensors())
    inputs = prepared.sample(ROWS, SIZE, torch.Generator().manual_seed(1))[:-2]
    return Case(request.param, tiny_pipelines, random_loras, prepared.module, inputs)


def test_four_adapters_in_one_batch_are_four_runs_with_fused_weights(case: Case) -> None:
    together = case.run([1, 2, 3, 4], SCALES)
    network, module = case.plain()
    before = copy.deepcopy(network.state_dict())
    with torch.inference_mode():
        plain = module(*case.inputs)
    for row, lora in enumerate(case.loras):
        network.load_state_dict(before)
        loras.fuse(network, lora, float(SCALES[row]))
        with torch.inference_mode():
            alone = module(*(value[row : row + 1] for value in case.inputs))
        assert relative(alone.numpy(), together[row : row + 1].numpy()) <= 1e-4
        assert relative(plain[row : row + 1].numpy(), alone.numpy()) > 1e-2, "the adapter changes nothing"


def test_no_adapter_is_the_plain_network_to_the_last_bit(case: Case) -> None:
    with torch.inference_mode():
        plain = case.plain()[1](*case.inputs)
    assert torch.equal(case.run([0, 0, 0, 0], SCALES), plain)
    assert torch.equal(case.run([1, 2, 3, 4], torch.zeros(4, 1)), plain)
    mixed = case.run([0, 2, 0, 4], SCALES)
    assert torch.equal(mixed[0], plain[0])
    assert torch.equal(mixed[2], plain[2])


def test_a_row_alone_is_the_row_in_company(case: Case) -> None:
    together = case.run([1, 2, 3, 4], SCALES)
    for row in range(ROWS):
        alone = case.run([row + 1], SCALES[row : row + 1], slice(row, row + 1))
        assert relative(alone.numpy(), together[row : row + 1].numpy()) <= 1e-5


def test_a_row_that_the_bank_lacks_is_none(case: Case) -> None:
    outputs = case.run([5, -1, 1 << 40, 0], SCALES)
    assert torch.equal(outputs, case.run([0, 0, 0, 0], SCALES))


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [(1, 1, 0), (3, 1, 1), (3, 2, 1), (2, 2, 0), (3, 2, 0), ((3, 1), (2, 1), (1, 0))]
)
def test_convolutions_of_every_kind(kernel: int, stride: int, padding: int) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(5, 7, kernel, stride, padding)
    network = nn.ModuleDict({"conv": layer})
    shapes = {"conv": tuple(layer.weight.shape)}
    lora = loras.random_lora(shapes, 3, seed=0)
    bank = Bank(shapes, 1, 4, ((LoraRef("one", Path("x")), lora),))
    rows = adapter_bank.install(network, shapes, 1, 4)
    adapters.fill(network, bank.tensors())
    x = torch.randn(2, 5, 9, 8)
    rows.adapter, rows.scale = torch.tensor([1, 0]), torch.full((2, 1, 1), 1.5)
    outputs = layer(x)
    rows.adapter = None
    plain = layer(x)
    loras.fuse(network, lora, 1.5)
    assert torch.allclose(outputs[0], layer(x)[0], atol=1e-5)
    assert torch.equal(outputs[1], plain[1])
    assert not torch.allclose(plain[0], layer(x)[0], atol=1e-3)


def test_a_grouped_convolution_is_refused() -> None:
    with pytest.raises(ExportError, match="conv is a convolution of a kind that cannot be adapted"):
        adapter_bank.install(nn.ModuleDict({"conv": nn.Conv2d(4, 4, 3, groups=2)}), ["conv"], 1, 1)


def test_shifts_sum_what_a_kernel_of_ones_sums() -> None:
    x = torch.randn(1, 1, 1, 6)
    outputs = adapter_bank.sum_shifted(x.repeat(1, 3, 1, 1), 3, 1, columns=True)
    assert torch.allclose(outputs, functional.conv2d(x, torch.ones(1, 1, 1, 3), padding=(0, 1)), atol=1e-6)

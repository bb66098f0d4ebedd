"""The denoiser's image attention: against the stock UNet, against diffusers' IP-Adapter, and row by row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor, IPAdapterAttnProcessor
from safetensors.torch import load_file, save_file

from export import ip_adapters
from export.contract import Size
from export.errors import BadFolderError
from export.models import COMPONENTS
from export.models.component import ComponentModule, Inputs
from tests.export import tiny

SIZE = Size(height=64, width=96, tokens=16)
ROWS = 3

IP_ADAPTER = Path(ip_adapters.FOLDER) / ip_adapters.FILE


@pytest.fixture(scope="module")
def denoiser(tiny_pipelines: Path) -> tuple[ComponentModule, Inputs]:
    """The tiny denoiser with its adapter, and three rows for it."""
    component = COMPONENTS["denoiser"]
    prepared = component.prepare(component.load(tiny.source(tiny_pipelines, "denoiser")))
    return prepared, prepared.sample(ROWS, SIZE, torch.Generator().manual_seed(1))


def stock(folder: Path, inputs: Inputs, processors: Any = None, style: Any = None) -> torch.Tensor:
    """What diffusers' own UNet answers."""
    unet: Any = UNet2DConditionModel.from_pretrained(folder / "tiny" / "unet").float().eval()
    unet.set_attn_processor(processors(unet) if processors is not None else AttnProcessor())
    sample, mask, masked, timestep, states, text_embeds, time_ids, *_ = inputs
    with torch.inference_mode():
        outputs: torch.Tensor = unet(
            torch.cat([sample, mask, masked], dim=1),
            timestep[:, 0],
            states if style is None else (states, style),
            added_cond_kwargs={"text_embeds": text_embeds, "time_ids": time_ids},
        ).sample
    return outputs


def prediction(denoiser: tuple[ComponentModule, Inputs], scale: torch.Tensor) -> torch.Tensor:
    """The denoiser's answer at other image scales [rows, 1]."""
    prepared, inputs = denoiser
    with torch.inference_mode():
        outputs: torch.Tensor = prepared.module(*inputs[:-1], scale)
    return outputs


def test_at_scale_zero_it_is_the_stock_unet_to_the_last_bit(
    denoiser: tuple[ComponentModule, Inputs], tiny_pipelines: Path
) -> None:
    assert torch.equal(prediction(denoiser, torch.zeros(ROWS, 1)), stock(tiny_pipelines, denoiser[1]))


def test_one_scale_for_all_is_what_diffusers_ip_adapter_does(
    denoiser: tuple[ComponentModule, Inputs], tiny_pipelines: Path
) -> None:
    weights = load_file(tiny_pipelines / "tiny" / IP_ADAPTER)

    def processors(unet: Any) -> dict[str, Any]:
        outputs: dict[str, Any] = {}
        for number, name in enumerate(unet.attn_processors):
            attn = unet.get_submodule(name.removesuffix(".processor"))
            if not name.endswith("attn2.processor"):
                outputs[name] = AttnProcessor()
                continue
            theirs = IPAdapterAttnProcessor(attn.to_k.out_features, attn.to_k.in_features, num_tokens=(2,), scale=0.7)
            theirs.to_k_ip[0].weight.data = weights[f"ip_adapter.{number}.to_k_ip.weight"].float()
            theirs.to_v_ip[0].weight.data = weights[f"ip_adapter.{number}.to_v_ip.weight"].float()
            outputs[name] = theirs
        return outputs

    expected = stock(tiny_pipelines, denoiser[1], processors, [denoiser[1][-2]])
    outputs = prediction(denoiser, torch.full((ROWS, 1), 0.7))
    assert torch.allclose(outputs, expected, atol=1e-6)
    assert not torch.allclose(outputs, stock(tiny_pipelines, denoiser[1]), atol=1e-3), "the adapter changes nothing"


def test_every_row_has_its_own_scale(denoiser: tuple[ComponentModule, Inputs]) -> None:
    scales = torch.tensor([[0.0], [1.0], [0.4]])
    together = prediction(denoiser, scales)
    for row in range(ROWS):
        alike = prediction(denoiser, scales[row].expand(ROWS, 1).contiguous())
        assert torch.equal(together[row], alike[row])


def spoilt(folder: Path, out: Path, change: Any) -> Path:
    """An adapter file with something changed."""
    tensors = load_file(folder / "tiny" / IP_ADAPTER)
    change(tensors)
    out.mkdir()
    save_file(tensors, out / IP_ADAPTER.name)
    return out / IP_ADAPTER.name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors: tensors.pop(sorted(tensors)[0]), r"is not for this UNet: Missing key"),
        (lambda tensors: tensors.update({"ip_adapter.99.to_k_ip.weight": torch.zeros(2)}), r"Unexpected key"),
        (lambda tensors: tensors.update({sorted(tensors)[0]: torch.zeros(2, 64)}), r"size mismatch"),
    ],
)
def test_an_adapter_of_another_unet_is_refused(change: Any, message: str, tiny_pipelines: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    source = tiny.source(tiny_pipelines, "denoiser")
    assert source.adapter is not None
    path = spoilt(tiny_pipelines, tmp_path / "ip_adapter", change)
    with pytest.raises(BadFolderError, match=message):
        COMPONENTS["denoiser"].load(replace(source, adapter=replace(source.adapter, path=path)))

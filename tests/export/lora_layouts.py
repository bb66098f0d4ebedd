"""LoRAs that peft injects into small networks, saved in every layout that programs write; for tests and figures.

A case is a network, a `LoraConfig`, and a layout that saves it. Networks have weights of zeros, so that peft's merged
weights are the updates themselves.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from export.lora_files import Lora, read_lora
from export.loras.originals import original_names

Shapes = dict[str, tuple[int, ...]]
ATTENTIONS = ["to_q", "to_k", "to_v", "to_out.0"]
CONVOLUTIONS = [*ATTENTIONS, "conv1", "conv_shortcut", "time_emb_proj", "proj_in", "downsamplers.0.conv", "ff.net.2"]
MMDIT = [*ATTENTIONS, "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out", "norm1.linear", "net.0.proj", "proj"]
RANKS = {"rank_pattern": {"to_k": 2, "mid_block.+to_v": 3}, "alpha_pattern": {"to_q": 3, "^mid_block.+to_v$": 1.5}}
"""Patterns as peft takes them: ends of names, and regular expressions."""


def sd15(*, whole: bool = False) -> Any:
    """A UNet as Stable Diffusion 1.5 has it; not `whole`, with half the levels, of one resnet each."""
    from diffusers import UNet2DConditionModel

    attended = 3 if whole else 1
    return UNet2DConditionModel(
        down_block_types=(*("CrossAttnDownBlock2D",) * attended, "DownBlock2D"),
        up_block_types=("UpBlock2D", *("CrossAttnUpBlock2D",) * attended),
        block_out_channels=(8, *(16,) * attended),
        layers_per_block=2 if whole else 1,
        attention_head_dim=2,
        cross_attention_dim=12,
        norm_num_groups=4,
    )


def sdxl(*, whole: bool = False) -> Any:
    """A UNet as SDXL has it: no attention on the first level; not `whole`, with one more, and short transformers."""
    from diffusers import UNet2DConditionModel

    attended = 2 if whole else 1
    return UNet2DConditionModel(
        down_block_types=("DownBlock2D", *("CrossAttnDownBlock2D",) * attended),
        up_block_types=(*("CrossAttnUpBlock2D",) * attended, "UpBlock2D"),
        block_out_channels=(8, *(16,) * attended),
        layers_per_block=2 if whole else 1,
        transformer_layers_per_block=(1, 2, 10) if whole else (1, 1),
        attention_head_dim=4,
        cross_attention_dim=12,
        norm_num_groups=4,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=64,
    )


def sd3() -> Any:
    """A transformer as Stable Diffusion 3.5 medium has it: its first block attends twice."""
    from diffusers import SD3Transformer2DModel

    return SD3Transformer2DModel(
        sample_size=8,
        in_channels=4,
        num_layers=3,
        num_attention_heads=2,
        attention_head_dim=8,
        joint_attention_dim=12,
        caption_projection_dim=16,
        pooled_projection_dim=10,
        pos_embed_max_size=8,
        dual_attention_layers=(0,),
    )


def shapes_of(network: nn.Module) -> Shapes:
    """The weights of a network that may be adapted."""
    return {
        name: tuple(layer.weight.shape)
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Linear | nn.Conv2d)
    }


@dataclass(frozen=True)
class Adapted:
    """A network that peft has adapted."""

    model: Any
    """peft's."""
    shapes: Shapes
    """Of the plain network."""
    name: str = "default"

    @property
    def config(self) -> Any:
        """peft's."""
        return self.model.peft_config[self.name]

    def layers(self) -> Iterator[tuple[str, Any]]:
        """peft's layers, by the network's names."""
        from peft.tuners.lora import LoraLayer

        for name, layer in self.model.get_base_model().named_modules():
            if isinstance(layer, LoraLayer):
                yield name, layer

    def halves(self) -> Iterator[tuple[str, Tensor, Tensor, float, int]]:
        """Layer, down, up, alpha and rank."""
        for name, layer in self.layers():
            down, up = layer.lora_A[self.name].weight, layer.lora_B[self.name].weight
            yield name, down.detach(), up.detach(), float(layer.lora_alpha[self.name]), layer.r[self.name]

    def state(self) -> dict[str, Tensor]:
        """What peft would save, without its prefix."""
        from peft import get_peft_model_state_dict

        return {
            key.removeprefix("base_model.model."): value.contiguous()
            for key, value in get_peft_model_state_dict(self.model, adapter_name=self.name).items()
        }

    def merged(self) -> dict[str, Tensor]:
        """peft's merged weights: of a network of zeros, the updates. The model is used up."""
        names = [name for name, _ in self.layers()]
        network = self.model.merge_and_unload()
        return {name: network.get_parameter(f"{name}.weight").detach() for name in names}


def adapt(
    network: Any, config: Mapping[str, Any], name: str = "default", *, seed: int = 0, size: float = 1.0
) -> Adapted:
    """Injects a LoRA of random numbers × `size`, a power of two, so that bf16 holds them without loss."""
    from peft import LoraConfig, get_peft_model

    shapes = shapes_of(network)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    model = get_peft_model(network, LoraConfig(**config), adapter_name=name)
    adapted, generator = Adapted(model, shapes, name), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _, layer in adapted.layers():
            for half in (layer.lora_A[name].weight, layer.lora_B[name].weight):
                half.copy_(size * torch.randn(half.shape, generator=generator).bfloat16())
    return adapted


Save = Callable[[Adapted, Path], Path]


def save(folder: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> Path:
    """Writes a safetensors file."""
    path = folder / "lora.safetensors"
    save_file({name: value.clone().contiguous() for name, value in tensors.items()}, path, dict(metadata or {}))
    return path


def metadata_of(adapted: Adapted, prefix: str = "") -> dict[str, Any]:
    """peft's config as diffusers writes it."""
    fields = {
        name: sorted(value) if isinstance(value, set) else value for name, value in adapted.config.to_dict().items()
    }
    return {f"{prefix}{name}": value for name, value in fields.items()}


# peft's own folders.


def peft_folder(adapted: Adapted, folder: Path) -> Path:
    """`save_pretrained`."""
    adapted.model.save_pretrained(folder)
    return folder if adapted.name == "default" else folder / adapted.name


def peft_file(adapted: Adapted, folder: Path) -> Path:
    """The file inside the folder, which has its config beside it."""
    return peft_folder(adapted, folder) / "adapter_model.safetensors"


def peft_shards(adapted: Adapted, folder: Path) -> Path:
    """The folder, its tensors in two files; the halves of layers are in different ones."""
    path = peft_file(adapted, folder)
    tensors = load_file(path)
    path.unlink()
    halves = {"A": "adapter_model-00001-of-00002.safetensors", "B": "adapter_model-00002-of-00002.safetensors"}
    index = {key: halves["A" if "lora_A" in key else "B"] for key in tensors}
    for name in halves.values():
        save_file({key: value for key, value in tensors.items() if index[key] == name}, path.parent / name)
    (path.parent / "adapter_model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    return path.parent


def peft_keys(change: Callable[[str], str]) -> Save:
    """The folder, with other keys."""

    def write(adapted: Adapted, folder: Path) -> Path:
        path = peft_file(adapted, folder)
        save_file({change(key): value for key, value in load_file(path).items()}, path)
        return path.parent

    return write


def peft_half(dtype: torch.dtype) -> Save:
    """The folder, in half precision."""

    def write(adapted: Adapted, folder: Path) -> Path:
        path = peft_file(adapted, folder)
        save_file({key: value.to(dtype) for key, value in load_file(path).items()}, path)
        return path.parent

    return write


# diffusers.


def diffusers_pipeline(pipeline: str, component: str, *, metadata: bool = True, text: int = 0) -> Save:
    """`save_lora_weights` of a pipeline, with or without its metadata, and with tensors of text encoders."""

    def write(adapted: Adapted, folder: Path) -> Path:
        import diffusers

        extra = {
            f"text_encoder{suffix}_lora_layers": {"text_model.x.q_proj.lora_A.weight": torch.ones(2, 2)}
            for suffix in ("", "_2")[:text]
        }
        described = {f"{component}_lora_adapter_metadata": metadata_of(adapted)} if metadata else {}
        getattr(diffusers, pipeline).save_lora_weights(
            folder, **{f"{component}_lora_layers": adapted.state()}, **described, **extra
        )
        return folder / "pytorch_lora_weights.safetensors"

    return write


def diffusers_model(adapted: Adapted, folder: Path) -> Path:
    """`save_lora_adapter` of a model: no prefix before keys, none before fields."""
    metadata = {"format": "pt", "lora_adapter_metadata": json.dumps(metadata_of(adapted), indent=2, sort_keys=True)}
    return save(folder, adapted.state(), metadata)


def diffusers_2023(prefix: str, *, processors: bool) -> Save:
    """The keys of 2023: strength has no place in them."""

    def write(adapted: Adapted, folder: Path) -> Path:
        tensors: dict[str, Tensor] = {}
        for name, down, up, alpha, rank in adapted.halves():
            assert alpha == rank
            owner, _, layer = name.removesuffix(".0").rpartition(".")
            old = processors and layer.startswith("to_")
            stem = f"{prefix}{owner}.processor.{layer}_lora" if old else f"{prefix}{name}.lora"
            tensors |= {f"{stem}.down.weight": down, f"{stem}.up.weight": up}
        return save(folder, tensors)

    return write


def with_alphas(prefix: str, down_end: str, up_end: str, metadata: Mapping[str, str] | None = None) -> Save:
    """The network's own names with any endings, and a tensor of alpha for each layer."""

    def write(adapted: Adapted, folder: Path) -> Path:
        tensors: dict[str, Tensor] = {}
        for name, down, up, alpha, _ in adapted.halves():
            tensors |= {f"{prefix}{name}.{down_end}": down, f"{prefix}{name}.{up_end}": up}
            tensors[f"{prefix}{name}.alpha"] = torch.tensor(alpha)
        return save(folder, tensors, metadata)

    return write


# kohya, and those who took up its names.


def kohya(prefix: str = "lora_unet_", *, originals: bool = False, text: str = "", root: bool = False) -> Save:
    """kohya's names, of diffusers' layers or of the first code's; LyCORIS writes rsLoRA as alpha · √r (`root`)."""

    def write(adapted: Adapted, folder: Path) -> Path:
        names = single_originals(adapted.shapes) if originals else {}
        tensors: dict[str, Tensor] = {}
        for name, down, up, alpha, rank in adapted.halves():
            stem = prefix + names.get(name, name).replace(".", "_")
            tensors |= {f"{stem}.lora_down.weight": down, f"{stem}.lora_up.weight": up}
            tensors[f"{stem}.alpha"] = torch.tensor(alpha * math.sqrt(rank) if root else alpha)
        for layer in text.split():
            tensors[f"{layer}.lora_down.weight"] = torch.ones(2, 2)
        return save(folder, tensors, kohya_metadata(adapted))

    return write


def kohya_metadata(adapted: Adapted) -> dict[str, str]:
    """What kohya writes about a training, as far as strength goes."""
    arguments = {"algo": "locon"} | ({"rs_lora": "True"} if adapted.config.use_rslora else {})
    return {
        "ss_network_dim": str(adapted.config.r),
        "ss_network_alpha": str(float(adapted.config.lora_alpha)),
        "ss_network_args": json.dumps(arguments),
        "ss_base_model_version": "sdxl_base_v1-0",
    }


def kohya_twice(adapted: Adapted, folder: Path) -> Path:
    """Each layer by both of its names, as some converters write it."""
    tensors = load_file(kohya()(adapted, folder)) | load_file(kohya(originals=True)(adapted, folder))
    return save(folder, tensors)


def kohya_by_diffusers(adapted: Adapted, folder: Path) -> Path:
    """diffusers' own conversion, which gives every layer its rank as alpha."""
    from diffusers.utils import convert_state_dict_to_kohya

    state = {f"unet.{key}": value for key, value in adapted.state().items()}
    return save(folder, convert_state_dict_to_kohya(state))


def single_originals(shapes: Shapes) -> dict[str, str]:
    """The first code's names of a UNet's layers."""
    return {names[0][0]: original for original, names in original_names(shapes).items()}


# ComfyUI.


def comfy(prefix: str, *, alphas: bool = True) -> Save:
    """The first code's names with dots, peft's endings."""

    def write(adapted: Adapted, folder: Path) -> Path:
        names, tensors = single_originals(adapted.shapes), dict[str, Tensor]()
        for name, down, up, alpha, rank in adapted.halves():
            stem = prefix + names[name]
            tensors |= {f"{stem}.lora_A.weight": down, f"{stem}.lora_B.weight": up}
            if alphas:
                tensors[f"{stem}.alpha"] = torch.tensor(alpha)
            else:
                assert alpha == rank
        return save(folder, tensors)

    return write


def plain_metadata(prefix: str, fields: Callable[[Any], Mapping[str, str]]) -> Save:
    """peft's keys, the strength as text in the file's metadata."""

    def write(adapted: Adapted, folder: Path) -> Path:
        return save(folder, {f"{prefix}{key}": value for key, value in adapted.state().items()}, fields(adapted.config))

    return write


@dataclass(frozen=True)
class Case:
    """A LoRA in a layout."""

    write: Save
    network: Callable[[], Any] = sdxl
    config: Mapping[str, Any] = field(default_factory=dict)
    name: str = "default"
    """peft's, of the adapter."""
    partial: bool = False
    """Whether it has tensors of text encoders."""

    def run(self, folder: Path) -> tuple[Lora, dict[str, Tensor], Shapes]:
        """What we read of it, and the weights that peft merges."""
        defaults: dict[str, Any] = {"r": 4, "lora_alpha": 6, "target_modules": ATTENTIONS}
        adapted = adapt(self.network(), defaults | dict(self.config), self.name)
        path = self.write(adapted, folder)
        lora = read_lora(path, adapted.shapes, allow_partial=self.partial)
        return lora, adapted.merged(), adapted.shapes


FULL = {"lora_alpha": 4}
"""Strength 1: for layouts that have no place for another."""
RSLORA = {"use_rslora": True}
CONV = {"target_modules": CONVOLUTIONS}
CASES: dict[str, Case] = {
    "peft folder": Case(peft_folder),
    "peft folder, rank and alpha patterns": Case(peft_folder, config=RANKS),
    "peft folder, rsLoRA": Case(peft_folder, config=RSLORA),
    "peft folder, rsLoRA and patterns": Case(peft_folder, config=RSLORA | RANKS),
    "peft folder, convolutions": Case(peft_folder, sd15, config=CONV),
    "peft folder, SD 3": Case(peft_folder, sd3, config={"target_modules": MMDIT}),
    "peft folder, target_modules as expression": Case(peft_folder, config={"target_modules": r".*attn[12]\.to_[qk]"}),
    "peft folder, named adapter": Case(peft_folder, name="style"),
    "peft folder, name inside keys": Case(peft_keys(lambda key: key.replace(".weight", ".style.weight"))),
    "peft folder, name inside keys, default": Case(peft_keys(lambda key: key.replace(".weight", ".default.weight"))),
    "peft folder, wrapped twice": Case(peft_keys(lambda key: f"base_model.model.{key}")),
    "peft folder, of a pipeline": Case(
        peft_keys(lambda key: key.replace("model.model.", "model.model.unet.")), config=RANKS
    ),
    "peft folder, compiled": Case(
        peft_keys(lambda key: key.replace("model.model.", "model.model._orig_mod.")), config=RANKS
    ),
    "peft folder, blocks compiled": Case(peft_keys(lambda key: key.replace(".attn1.", "._orig_mod.attn1."))),
    "peft folder, sharded": Case(peft_shards, config=RANKS),
    "peft folder, bf16": Case(peft_half(torch.bfloat16)),
    "peft folder, fp16": Case(peft_half(torch.float16)),
    "peft file beside its config": Case(peft_file, config=RANKS),
    "diffusers, metadata": Case(
        diffusers_pipeline("StableDiffusionXLPipeline", "unet"), config=FULL | {"lora_alpha": 16}
    ),
    "diffusers, metadata with patterns": Case(
        diffusers_pipeline("StableDiffusionPipeline", "unet"), sd15, config=RANKS
    ),
    "diffusers, metadata with rsLoRA": Case(diffusers_pipeline("StableDiffusionXLPipeline", "unet"), config=RSLORA),
    "diffusers, SD 3": Case(
        diffusers_pipeline("StableDiffusion3Pipeline", "transformer"), sd3, config={"target_modules": MMDIT}
    ),
    "diffusers, text encoders": Case(diffusers_pipeline("StableDiffusionXLPipeline", "unet", text=2), partial=True),
    "diffusers, no metadata": Case(
        diffusers_pipeline("StableDiffusionXLPipeline", "unet", metadata=False), config=FULL
    ),
    "diffusers, one model": Case(diffusers_model, config=RANKS),
    "diffusers, one model, SD 3": Case(diffusers_model, sd3),
    "diffusers of 2023": Case(diffusers_2023("unet.", processors=False), config=FULL | CONV),
    "diffusers of 2023, no prefix": Case(diffusers_2023("", processors=False), sd15, config=FULL),
    "diffusers of 2023, processors": Case(diffusers_2023("unet.", processors=True), config=FULL),
    "diffusers of 2023, processors, no prefix": Case(diffusers_2023("", processors=True), sd15, config=FULL),
    "diffusers' names with kohya's endings": Case(with_alphas("unet.", "lora_down.weight", "lora_up.weight")),
    "diffusers' names with alpha": Case(with_alphas("unet.", "lora_A.weight", "lora_B.weight"), config=RANKS),
    "diffusers' names with alpha, SD 3": Case(with_alphas("transformer.", "lora_A.weight", "lora_B.weight"), sd3),
    "kohya, SD 1.5": Case(kohya(), sd15, config=CONV),
    "kohya, SD 1.5, first code's names": Case(kohya(originals=True), sd15, config=CONV),
    "kohya, SDXL, first code's names": Case(kohya(originals=True), config=CONV | RANKS),
    "kohya, text encoder": Case(kohya(text="lora_te_text_model_encoder_layers_0_mlp_fc1"), sd15, partial=True),
    "kohya, both text encoders": Case(kohya(text="lora_te1_text_model_x lora_te2_text_model_x"), partial=True),
    "kohya, three text encoders": Case(
        kohya(text="lora_te1_text_model_x lora_te2_text_model_x lora_te3_encoder_block_0_x"), sd3, partial=True
    ),
    "kohya, rsLoRA of LyCORIS": Case(kohya(root=True), config=RSLORA),
    "kohya, rsLoRA of forks": Case(kohya(), config=RSLORA),
    "kohya, both names": Case(kohya_twice),
    "kohya by diffusers": Case(kohya_by_diffusers, config=FULL),
    "OneTrainer, SD 3": Case(kohya("lora_transformer_"), sd3),
    "SimpleTuner, LyCORIS": Case(kohya("lycoris_"), sd3),
    "ComfyUI, SDXL": Case(comfy("diffusion_model."), config=CONV),
    "ComfyUI, SD 1.5, no prefix": Case(comfy("", alphas=False), sd15, config=FULL),
    "single-file names": Case(comfy("model.diffusion_model.")),
    "ComfyUI, diffusers' names": Case(with_alphas("diffusion_model.", "lora_A.weight", "lora_B.weight")),
    "plain metadata": Case(
        plain_metadata("unet.", lambda config: {"lora_alpha": str(config.lora_alpha), "rank": str(config.r)})
    ),
    "plain metadata of a component": Case(
        plain_metadata(
            "transformer.",
            lambda config: {"transformer.lora_alpha": f"{config.lora_alpha}.0", "transformer.r": str(config.r)},
        ),
        sd3,
    ),
    "plain metadata, rsLoRA": Case(
        plain_metadata("", lambda config: {"network_alpha": str(config.lora_alpha), "use_rslora": "True"}),
        config=RSLORA,
    ),
}


def differing(folder: Path) -> list[str]:
    """The layouts whose updates are not peft's merged weights."""
    names = []
    for number, (name, case) in enumerate(CASES.items()):
        place = folder / str(number)
        place.mkdir(parents=True)
        if relative_difference(*case.run(place)) > 1e-6:
            names.append(name)
    return names


def relative_difference(lora: Lora, merged: Mapping[str, Tensor], shapes: Shapes) -> float:
    """The largest difference between our updates and peft's, ÷ the layer's largest number; infinite at other layers."""
    if set(lora.updates) != set(merged):
        return math.inf
    largest = 0.0
    for name, expected in merged.items():
        update = lora.updates[name]
        delta = (update.strength * update.up @ update.down).view(shapes[name])
        largest = max(largest, float((delta - expected).abs().max() / expected.abs().max()))
    return largest

"""What goes with the folders: an IP-Adapter, and LoRAs of four layouts; loaded by diffusers and by peft."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.export import lora_layouts

STYLED = ("sd15-inpaint", "sdxl")
"""Families with an IP-Adapter."""
ADAPTED = ("sd15-inpaint", "sdxl-inpaint", "sd3")
"""Families with LoRAs."""
LAYOUTS = ("peft", "kohya", "diffusers", "diffusers2023")
SIZE = 0.25
"""Of a LoRA's numbers: larger ones make a chaos of attention, in which torch itself is off in FP32."""
CLIP_SIDE, CLIP_WIDTH, IMAGE_TOKENS = 32, 16, 4


def add_style(folder: Path) -> None:
    """Adds an IP-Adapter as it is published, and its image encoder."""
    import torch
    from diffusers import UNet2DConditionModel
    from safetensors.torch import save_file
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    vision = CLIPVisionConfig(
        hidden_size=32, intermediate_size=64, projection_dim=CLIP_WIDTH, num_hidden_layers=2, num_attention_heads=2,
        image_size=CLIP_SIDE, patch_size=8,
    )  # fmt: skip
    CLIPVisionModelWithProjection(vision).save_pretrained(folder / "image_encoder")
    unet: Any = UNet2DConditionModel.from_pretrained(folder / "unet")
    states = unet.config.cross_attention_dim
    tensors = {
        "image_proj.proj.weight": torch.randn(IMAGE_TOKENS * states, CLIP_WIDTH),
        "image_proj.proj.bias": torch.randn(IMAGE_TOKENS * states),
        "image_proj.norm.weight": torch.ones(states),
        "image_proj.norm.bias": 0.3 * torch.randn(states),
    }
    for number, name in enumerate(unet.attn_processors):
        if name.endswith("attn2.processor"):
            attention = unet.get_submodule(name.removesuffix(".processor"))
            for half in ("k", "v"):
                shape = getattr(attention, f"to_{half}").weight.shape
                tensors[f"ip_adapter.{number}.to_{half}_ip.weight"] = 0.3 * torch.randn(shape)
    (folder / "ip_adapter").mkdir()
    save_file(tensors, folder / "ip_adapter" / "ip-adapter.safetensors")


def load_style(pipeline: Any, scale: float) -> None:
    """Loads it into diffusers' pipeline, which makes the preprocessing from the encoder's size."""
    from transformers import CLIPVisionModelWithProjection
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    folder = Path(pipeline.config._name_or_path)
    pipeline.register_modules(
        image_encoder=CLIPVisionModelWithProjection.from_pretrained(folder / "image_encoder"),
        feature_extractor=CLIPImageProcessorPil(
            size={"shortest_edge": CLIP_SIDE}, crop_size={"height": CLIP_SIDE, "width": CLIP_SIDE}
        ),
    )
    pipeline.load_ip_adapter(
        folder, subfolder="ip_adapter", weight_name="ip-adapter.safetensors", image_encoder_folder=None
    )
    pipeline.set_ip_adapter_scale(scale)


def lora_path(folder: Path, layout: str) -> Path:
    """Where a family's LoRA of a layout lies, beside the family's folder."""
    return folder.parent / "loras" / folder.name / layout


def write_loras(folder: Path) -> dict[str, Path]:
    """Writes the LoRAs of a family; returns what `--adapter` gets, by name."""
    return {layout: write_lora(folder, layout, lora_path(folder, layout)) for layout in layouts_of(folder.name)}


def write_lora(folder: Path, layout: str, place: Path) -> Path:
    """Writes a LoRA for a folder's denoiser; returns the file, or the folder of peft's."""
    flow = (folder / "transformer").is_dir()
    component, targets = ("transformer", lora_layouts.MMDIT) if flow else ("unet", lora_layouts.ATTENTIONS)
    save = {
        "peft": lora_layouts.peft_folder,
        "kohya": lora_layouts.kohya(),
        "diffusers": lora_layouts.diffusers_pipeline(
            "StableDiffusion3Pipeline" if flow else "StableDiffusionXLPipeline", component
        ),
        "diffusers2023": lora_layouts.diffusers_2023("unet.", processors=True),
    }
    # The keys of 2023 have no place for another strength than 1.
    config = {"r": 4, "lora_alpha": 4 if layout == "diffusers2023" else 6, "target_modules": targets}
    adapted = lora_layouts.adapt(denoiser(folder, component), config, seed=LAYOUTS.index(layout), size=SIZE)
    place.mkdir(parents=True, exist_ok=True)
    return save[layout](adapted, place)


def layouts_of(family: str) -> tuple[str, ...]:
    """The layouts that diffusers reads for a family. For Stable Diffusion 3 it reads neither kohya's nor old ones."""
    return ("peft", "diffusers") if family == "sd3" else LAYOUTS if family in ADAPTED else ()


def denoiser(folder: Path, component: str) -> Any:
    """The folder's UNet or transformer."""
    from diffusers import SD3Transformer2DModel, UNet2DConditionModel

    cls: Any = SD3Transformer2DModel if component == "transformer" else UNet2DConditionModel
    return cls.from_pretrained(folder / component)


def load_loras(pipeline: Any, folder: Path, adapters: Iterable[tuple[str, float]]) -> None:
    """Loads LoRAs into diffusers' pipeline by `load_lora_weights`; a folder of peft's by peft, and merges it."""
    weights = {}
    for layout, weight in adapters:
        path = lora_path(folder, layout)
        if layout == "peft":
            merge(pipeline, path, weight)
        else:
            file = next(path.glob("*.safetensors"))
            pipeline.load_lora_weights(path, weight_name=file.name, adapter_name=layout)
            weights[layout] = weight
    if weights:
        pipeline.set_adapters(list(weights), list(weights.values()))


def merge(pipeline: Any, path: Path, weight: float) -> None:
    """Adds a LoRA to the weights of the denoiser, as peft does it."""
    from peft import PeftModel
    from peft.tuners.lora import LoraLayer

    component = "transformer" if getattr(pipeline, "unet", None) is None else "unet"
    adapted = PeftModel.from_pretrained(getattr(pipeline, component), path)
    for layer in adapted.modules():
        if isinstance(layer, LoraLayer):
            layer.scale_layer(weight)
    setattr(pipeline, component, adapted.merge_and_unload())

"""Pipeline folders small enough to export in a test: the same classes and layout, hardly any weights.

`tiny` has everything, `tiny-fast` has a UNet of its own, `tiny-dit` a transformer; both share the rest of `tiny`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from filelock import FileLock, Timeout

if TYPE_CHECKING:
    from export.layout import Source
    from export.precision import Precision

BUCKETS = [[64, 64], [64, 96]]
TOKENS = 16
T5_TOKENS = 24
VOCABULARY = 64
NAMES = ("tiny", "tiny-dit")
"""The exported ones: together they have every component once, each under its own name. `tiny-fast` only costs time."""

EXPORT_TIMEOUT_S = 900
"""For whichever test happens to export the pipeline: tracing takes 45 s on two idle cores, minutes on busy ones."""


def allow_time(items: list[pytest.Item]) -> None:
    """Gives every test that may have to export the tiny pipeline the time to do so."""
    for item in items:
        if {"tiny_repository", "half_repository", "whole_half_repository"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.timeout(EXPORT_TIMEOUT_S))


def run_folder(factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of a test run share."""
    base = factory.getbasetemp()
    # xdist gives each of its processes a folder below the run's.
    return base.parent if base.name.startswith("popen-") else base


def once(
    factory: pytest.TempPathFactory, name: str, write: Callable[[Path], None], *, wait: bool = True
) -> Path | None:
    """Writes a folder once a test run, also when several processes (pytest-xdist) ask for it.

    Returns:
        The folder; None where another process is writing it now and `wait` is False.
    """
    folder = run_folder(factory) / name
    try:
        with FileLock(folder.with_name(f"{name}.lock"), timeout=-1 if wait else 0):
            if not folder.exists():
                write(folder)
    except Timeout:
        return None
    return folder


def required(folder: Path | None) -> Path:
    """A folder that was waited for."""
    assert folder is not None
    return folder


def half(model: Any, folder: Path) -> None:
    """Saves a model as the reference weights are saved: fp16 safetensors, with no two norms alike."""
    import torch

    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    model.half().save_pretrained(folder)


def write_pipelines(folder: Path) -> None:
    """Writes the three folders, with random weights that are always the same."""
    import torch

    from export.networks.upscaler import Upscaler

    torch.manual_seed(0)
    write_tiny(folder / "tiny")
    write_fast(folder / "tiny-fast")
    write_dit(folder / "tiny-dit")
    # Last: the numbers of the others stay as they are.
    half(Upscaler(channels=4, convolutions=1), folder / "tiny" / "upscaler")


def write_tiny(folder: Path) -> None:
    """The pipeline that the others share with."""
    from diffusers import AsymmetricAutoencoderKL, DDIMScheduler
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    from export.networks.reward import RewardModel
    from export.networks.segmenter import Segmenter

    def text(act: str) -> CLIPTextConfig:
        return CLIPTextConfig(
            vocab_size=VOCABULARY,
            hidden_size=32,
            intermediate_size=64,
            projection_dim=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=TOKENS,
            hidden_act=act,
            bos_token_id=VOCABULARY - 2,
            eos_token_id=VOCABULARY - 1,
            pad_token_id=VOCABULARY - 1,
        )

    half(CLIPTextModel(text("quick_gelu")), folder / "text_encoder")
    half(CLIPTextModelWithProjection(text("gelu")), folder / "text_encoder_2")
    vae = AsymmetricAutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        down_block_out_channels=(8, 8, 16, 16),
        up_block_types=("UpDecoderBlock2D",) * 4,
        up_block_out_channels=(8, 16, 32, 32),
        layers_per_up_block=0,
        norm_num_groups=4,
        sample_size=64,
        scaling_factor=0.5,
    )
    half(vae, folder / "vae")
    half(RewardModel(channels=(8, 8, 16), text_dim=16, match_dim=8), folder / "reward")
    half(Segmenter(channels=(4, 8)), folder / "segmenter")
    write_image_encoders(folder)
    write_unet(folder)
    DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        clip_sample=False,
    ).save_pretrained(folder / "scheduler")
    for name in ("tokenizer", "tokenizer_2"):
        write_tokenizer(folder / name)
    settings = {"buckets": BUCKETS, "provenance": {"trained_on": "nothing"}}
    (folder / "backdrop.json").write_text(json.dumps(settings))


def write_image_encoders(folder: Path) -> None:
    """What makes image tokens of a style picture."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    from export.networks.image_projector import ImageProjector
    from export.networks.uve import UVE

    vision = CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        projection_dim=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=16,
        patch_size=8,
    )
    half(CLIPVisionModelWithProjection(vision), folder / "image_encoder")
    half(UVE(channels=(8, 16), dim=12, groups=4, size=32), folder / "image_encoder_uve")
    half(ImageProjector(uve_dim=12, clip_dim=16, tokens=2, cross_attention_dim=64), folder / "image_projector")


def write_unet(folder: Path) -> None:
    """A UNet with an IP-Adapter."""
    import torch
    from diffusers import UNet2DConditionModel

    from export.networks import image_attention

    unet = UNet2DConditionModel(
        sample_size=8,
        in_channels=9,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(16, 32),
        layers_per_block=1,
        attention_head_dim=(1, 2),
        cross_attention_dim=64,
        norm_num_groups=4,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=16 + 6 * 8,
    )
    half(unet, folder / "unet")
    layers = image_attention.install(unet)
    for parameter in layers.parameters():
        # Untrained ones begin at zero, and would change nothing.
        torch.nn.init.normal_(parameter)
    image_attention.save(layers, folder / "ip_adapter")


def write_fast(folder: Path) -> None:
    """A consistency model: a UNet and an adapter, nothing else."""
    from diffusers import LCMScheduler

    write_unet(folder)
    LCMScheduler(prediction_type="v_prediction", timestep_spacing="trailing").save_pretrained(folder / "scheduler")
    (folder / "backdrop.json").write_text(json.dumps({"shares": "../tiny"}))


def write_dit(folder: Path) -> None:
    """A transformer that reads T5's states."""
    from diffusers import FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel
    from transformers import T5Config, T5EncoderModel

    transformer = SD3Transformer2DModel(
        sample_size=8,
        in_channels=9,
        out_channels=4,
        patch_size=2,
        num_layers=2,
        num_attention_heads=2,
        attention_head_dim=16,
        joint_attention_dim=24,
        caption_projection_dim=32,
        pooled_projection_dim=16,
        pos_embed_max_size=12,
    )
    half(transformer, folder / "transformer")
    t5 = T5Config(
        vocab_size=VOCABULARY,
        d_model=24,
        d_kv=8,
        d_ff=48,
        num_layers=2,
        num_heads=2,
        feed_forward_proj="gated-gelu",
        pad_token_id=VOCABULARY - 1,
        eos_token_id=VOCABULARY - 1,
    )
    half(T5EncoderModel(t5), folder / "text_encoder_3")
    FlowMatchEulerDiscreteScheduler(shift=3.0).save_pretrained(folder / "scheduler")
    write_tokenizer(folder / "tokenizer_3", model_max_length=T5_TOKENS)
    settings = {"shares": "../tiny", "description": "A transformer.", "defaults": {"steps": 8}}
    (folder / "backdrop.json").write_text(json.dumps(settings))


def write_tokenizer(folder: Path, end: int = VOCABULARY - 1, **settings: Any) -> None:
    """A tokenizer of single letters that begins and ends a prompt as CLIP's does: `end` is the end token's number."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    letters = [chr(ord("a") + n) for n in range(26)]
    names = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {name: n for n, name in enumerate(names[:-2])}
    vocabulary |= {"<|startoftext|>": end - 1, "<|endoftext|>": end}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], end_of_word_suffix="</w>", unk_token="<|endoftext|>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.RobertaProcessing(
        ("<|endoftext|>", end), ("<|startoftext|>", end - 1), add_prefix_space=False
    )
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"pad_token": "<|endoftext|>"} | settings))


def source(folder: Path, name: str) -> Source:
    """Where a component of the tiny pipelines comes from."""
    from export.layout import KINDS
    from export.source import open_folder

    own = name in ("denoiser_dit", "text_encoder_t5")
    return open_folder(folder / ("tiny-dit" if own else "tiny")).sources[KINDS[name].role]


def pipelines(factory: pytest.TempPathFactory) -> Path:
    """The folder of the three tiny pipeline folders; shared, so copy it before changing it."""
    return required(once(factory, "tiny-pipelines", write_pipelines))


LARGEST_FIRST = ("denoiser", "vae_decoder", "vae_encoder", "denoiser_dit")
"""Traced first, so that processes which share the work end at about the same time."""
SMALL_ONES = ("segmenter", "text_encoder_g")
"""Models that are traced in a few seconds: one of convolutions and norms, one of matrix products and attention."""


def work_folder(factory: pytest.TempPathFactory, precision: Precision) -> Path:
    """A work folder with every model of the tiny pipelines in it, traced and compared.

    Processes that need it at the same time trace different models: each takes one that no other process has begun.
    """
    from export.options import ExportOptions
    from export.plan import plan_repository
    from export.precision import Precisions
    from export.run import export_graphs
    from export.source import open_folder

    sources = [pipelines(factory) / name for name in NAMES]
    work = run_folder(factory) / f"tiny-work-{precision}"
    options = ExportOptions(Precisions(precision), work)

    def trace(name: str, done: Path) -> None:
        export_graphs(sources, silent, options, names=[name])
        done.mkdir()

    models = plan_repository([open_folder(source) for source in sources]).models
    names = [*LARGEST_FIRST, *(name for name in models if name not in LARGEST_FIRST)]
    begun_elsewhere = [
        name for name in names if once(factory, f"{work.name}-{name}", partial(trace, name), wait=False) is None
    ]
    for name in begun_elsewhere:
        once(factory, f"{work.name}-{name}", partial(trace, name))
    return work


def silent(name: str, what: str) -> None:
    """Shows no progress."""


def export(factory: pytest.TempPathFactory, name: str, precision: Precision) -> Path:
    """The tiny pipelines, exported for onnxruntime and for engines."""

    def write(folder: Path) -> None:
        from export.options import ExportOptions
        from export.precision import Precisions
        from export.run import export_pipelines

        work = work_folder(factory, precision)
        options = ExportOptions(Precisions(precision), work, engines=True)
        export_pipelines([pipelines(factory) / name for name in NAMES], folder, silent, options=options)

    if not (run_folder(factory) / name).exists():
        # Outside the lock of the repository, under which only one process would trace.
        work_folder(factory, precision)
    return required(once(factory, name, write))


def repository(factory: pytest.TempPathFactory) -> Path:
    """The repository in FP32; shared, so copy it before changing it."""
    return export(factory, "tiny-repository", "fp32")


def whole_half_repository(factory: pytest.TempPathFactory) -> Path:
    """The repository in fp16; shared, so copy it before changing it."""
    return export(factory, "tiny-half-repository", "fp16")


def half_repository(factory: pytest.TempPathFactory) -> Path:
    """The repository in FP32 with the small models in fp16; shared, so copy it before changing it."""

    def write(folder: Path) -> None:
        from export.options import ExportOptions
        from export.precision import Precisions
        from export.run import export_pipelines

        shutil.copytree(repository(factory), folder)
        sources = [pipelines(factory) / name for name in NAMES]
        options = ExportOptions(Precisions("fp16"), engines=True)
        export_pipelines(sources, folder, silent, names=SMALL_ONES, options=options)

    return required(once(factory, "tiny-small-half-repository", write))

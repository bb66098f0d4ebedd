"""A pipeline folder small enough to export in a test: the same classes and layout, hardly any weights."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable
from pathlib import Path

import pytest

BUCKETS = [[64, 64], [64, 96]]
TOKENS = 16
VOCABULARY = 64


EXPORT_TIMEOUT_S = 900
"""For whichever test happens to export the pipeline: tracing takes 45 s on two idle cores, minutes on busy ones."""


def allow_time(items: list[pytest.Item]) -> None:
    """Gives every test that may have to export the tiny pipeline the time to do so."""
    for item in items:
        if "tiny_repository" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(EXPORT_TIMEOUT_S))


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """Makes a folder once a test run, also when several workers (pytest-xdist) ask for it."""
    base = factory.getbasetemp()
    # With xdist each worker has a folder of its own below the run's.
    base = base.parent if base.name.startswith("popen-") else base
    folder = base / name
    with (base / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            make(folder)
    return folder


def write_pipeline(folder: Path) -> None:
    """Writes the folder, with random weights that are always the same."""
    import torch
    from diffusers import AsymmetricAutoencoderKL, DDIMScheduler, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    from export.networks.reward import RewardModel
    from export.networks.segmenter import Segmenter

    torch.manual_seed(0)

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

    CLIPTextModel(text("quick_gelu")).save_pretrained(folder / "text_encoder")
    CLIPTextModelWithProjection(text("gelu")).save_pretrained(folder / "text_encoder_2")
    UNet2DConditionModel(
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
    ).save_pretrained(folder / "unet")
    AsymmetricAutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        down_block_out_channels=(8, 8, 16, 16),
        up_block_types=("UpDecoderBlock2D",) * 4,
        up_block_out_channels=(8, 16, 32, 32),
        layers_per_up_block=0,
        norm_num_groups=4,
        sample_size=64,
        scaling_factor=0.5,
    ).save_pretrained(folder / "vae")
    RewardModel(channels=(8, 16), text_dim=16, match_dim=8).save_pretrained(folder / "reward")
    Segmenter(channels=(4, 8)).save_pretrained(folder / "segmenter")
    DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type="v_prediction"
    ).save_pretrained(folder / "scheduler")
    for name in ("tokenizer", "tokenizer_2"):
        write_tokenizer(folder / name)
    settings = {"buckets": BUCKETS, "provenance": {"trained_on": "nothing"}}
    (folder / "backdrop.json").write_text(json.dumps(settings))


def write_tokenizer(folder: Path) -> None:
    """A tokenizer of single letters that begins and ends a prompt as CLIP's does."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    letters = [chr(ord("a") + n) for n in range(26)]
    names = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {name: n for n, name in enumerate(names[:-2])}
    vocabulary |= {"<|startoftext|>": VOCABULARY - 2, "<|endoftext|>": VOCABULARY - 1}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], end_of_word_suffix="</w>", unk_token="<|endoftext|>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.RobertaProcessing(
        ("<|endoftext|>", VOCABULARY - 1), ("<|startoftext|>", VOCABULARY - 2), add_prefix_space=False
    )
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"pad_token": "<|endoftext|>"}))


def pipeline(factory: pytest.TempPathFactory) -> Path:
    """The tiny pipeline folder; shared, so copy it before changing it."""
    return once(factory, "tiny-pipeline", write_pipeline)


def repository(factory: pytest.TempPathFactory) -> Path:
    """The tiny pipeline, exported; shared, so copy it before changing it."""

    def export(folder: Path) -> None:
        from export.run import export_pipeline

        export_pipeline(pipeline(factory), folder, "tiny", None, lambda role, what: None)

    return once(factory, "tiny-repository", export)

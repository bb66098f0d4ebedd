"""Keys of `model_index.json`: components, and the settings of diffusers' pipeline classes."""

from __future__ import annotations

from export.keys.models import EXPORT, Table
from export.keys.rules import NoEffect

_CHECKER = NoEffect("no safety checker is served: its verdicts are the service's own business")
_AESTHETICS = NoEffect("read for the refiner's sizes alone, which are not served")

MODEL_INDEX: Table = {
    **dict.fromkeys(("vae", "unet", "transformer", "scheduler", "image_encoder", "image_projector"), EXPORT),
    **dict.fromkeys(("text_encoder", "text_encoder_2", "text_encoder_3"), EXPORT),
    **dict.fromkeys(("tokenizer", "tokenizer_2", "tokenizer_3", "feature_extractor"), EXPORT),
    **dict.fromkeys(("image_encoder_uve", "reward", "segmenter", "upscaler"), EXPORT),
    "force_zeros_for_empty_prompt": EXPORT,
    "safety_checker": _CHECKER,
    "requires_safety_checker": _CHECKER,
    "requires_aesthetics_score": _AESTHETICS,
    "add_watermarker": NoEffect("no invisible watermark is added"),
}

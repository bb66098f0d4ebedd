"""Finds the layer of a network that a name in a LoRA file means, whichever program wrote the name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from export.loras.originals import Place, fused_names, original_names

WRAPPERS = {
    "base_model.model.": "peft",
    "model.diffusion_model.": "single-file checkpoints",
    "diffusion_model.": "ComfyUI",
    "unet.": "diffusers",
    "transformer.": "diffusers",
    "lora_unet_": "kohya",
    "lora_transformer_": "OneTrainer",
    "lycoris_": "SimpleTuner",
    "module.": "torch's data parallelism",
    "model.": "training scripts",
}
"""What may stand before a layer's name, one after the other, and who writes it."""
COMPILED = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
"""What torch puts into the names of modules that it compiles, shards or checkpoints."""
TEXT_ENCODERS = {
    "text_encoder.": "text_encoder",
    "text_encoder_2.": "text_encoder_2",
    "text_encoder_3.": "text_encoder_3",
    "lora_te_": "text_encoder",
    "lora_te1_": "text_encoder",
    "lora_te2_": "text_encoder_2",
    "lora_te3_": "text_encoder_3",
    "te1.": "text_encoder",
    "te2.": "text_encoder_2",
    "te3.": "text_encoder_3",
    "text_encoders.clip_l.": "text_encoder",
    "text_encoders.clip_g.": "text_encoder_2",
    "text_encoders.t5xxl.": "text_encoder_3",
    "clip_l.": "text_encoder",
    "clip_g.": "text_encoder_2",
    "t5xxl.": "text_encoder_3",
    "cond_stage_model.": "text_encoder",
    "conditioner.embedders.0.": "text_encoder",
    "conditioner.embedders.1.": "text_encoder_2",
    "text_model.": "text_encoder",
    "encoder.block.": "text_encoder_3",
    "bundle_emb.": "embeddings",
}
"""What names of a text encoder's layers begin with, and which part of a pipeline that is."""

_COMPILED = re.compile(rf"_?({'|'.join(COMPILED)})(?=_|$)")


def flat(name: str) -> str:
    """A name with underscores for dots, as kohya writes it: the only form that all formats have."""
    return name.replace(".", "_")


_WRAPPERS = tuple(flat(wrapper) for wrapper in WRAPPERS)
# The longest first: "text_encoder_" begins "text_encoder_2_" too.
_TEXT_ENCODERS = sorted(((flat(prefix), part) for prefix, part in TEXT_ENCODERS.items()), reverse=True)


def stems(written: str) -> Iterator[str]:
    """A written name, flat, with one wrapper less each time."""
    name = _COMPILED.sub("", flat(written)).lstrip("_")
    while True:
        yield name
        wrapper = next((wrapper for wrapper in _WRAPPERS if name.startswith(wrapper)), None)
        if wrapper is None:
            return
        name = name.removeprefix(wrapper)


def unwrapped(written: str) -> str:
    """A written name without its wrappers."""
    wrapper = next((wrapper for wrapper in WRAPPERS if written.startswith(wrapper)), None)
    return written if wrapper is None else unwrapped(written.removeprefix(wrapper))


def text_encoder_of(written: str) -> str | None:
    """The part of a pipeline that a key is for, if that is not the denoiser."""
    for stem in stems(written):
        for prefix, part in _TEXT_ENCODERS:
            if stem.startswith(prefix):
                return part
    return None


@dataclass(frozen=True)
class Target:
    """A layer of the network, and which rows of the written layer's up matrix are its own."""

    layer: str
    place: Place


class LayerNames:
    """Finds a network's layers by any of the names that files give them."""

    def __init__(self, layers: Mapping[str, tuple[int, ...]]) -> None:
        """Learns the names of a network's layers, which have these weights' shapes."""
        self._targets: dict[str, tuple[Target, ...]] = {}
        for written in (fused_names(layers), original_names(layers)):
            for name, targets in written.items():
                self._targets[flat(name)] = tuple(Target(layer, place) for layer, place in targets)
        # The network's own names come last: they win, should two be alike.
        for name in layers:
            own = (Target(name, Place()),)
            self._targets[flat(name)] = own
            self._targets.setdefault(flat(name.removesuffix(".0")), own)

    def find(self, written: str) -> tuple[Target, ...]:
        """The layers that a name means, several where the file's layer is fused of them; empty if there is none."""
        for stem in stems(written):
            # diffusers' attention processors held their LoRAs themselves.
            for name in (stem, stem.replace("_processor_", "_")):
                if name in self._targets:
                    return self._targets[name]
        return ()

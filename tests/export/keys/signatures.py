"""Every key that diffusers' and transformers' classes of the four families take, from the installed versions."""

from __future__ import annotations

import dataclasses
import inspect
import json
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from export.keys.check import CLASSES
from export.keys.encoders import PREPROCESSOR, TOKENIZERS
from export.keys.models import Table
from export.keys.pipelines import MODEL_INDEX
from export.schedule.classes import OTHER_KEYS
from tests.orchestrator.sampler.scheduler_configs import options, scheduler_classes

PIPELINES = tuple(
    f"StableDiffusion{family}{task}Pipeline" for family in ("", "XL", "3") for task in ("", "Inpaint", "Img2Img")
)


def of_diffusers(name: str) -> Iterable[str]:
    """The arguments of a class of diffusers, or of our own that is written like one."""
    return (key for key in inspect.signature(class_of(name).__init__).parameters if key != "self")


def class_of(name: str) -> Any:
    """A class of diffusers, or our own that is written like one."""
    import diffusers

    from export.networks.image_projector import ImageProjector

    return ImageProjector if name == "ImageProjector" else getattr(diffusers, name)


def of_transformers(name: str) -> Iterable[str]:
    """The fields of a model's config, and the keys of a file that transformers writes for it."""
    import transformers

    cls = getattr(transformers, name).config_class
    config = cls()
    return {*(field.name for field in dataclasses.fields(cls)), *config.to_dict()}


def default_of(name: str, key: str) -> Any:
    """The default that a class has for a key of its config."""
    import transformers

    if hasattr(transformers, name):
        return getattr(getattr(transformers, name).config_class(), key)
    default = inspect.signature(class_of(name).__init__).parameters[key].default
    return list(default) if isinstance(default, tuple) else default


def of_tokenizers() -> Iterable[str]:
    """The arguments of both tokenizers, and the keys of the files that transformers writes for them."""
    from transformers import CLIPTokenizer, T5Tokenizer

    keys: set[str] = set()
    builders: Mapping[Any, Callable[[], Any]] = {
        CLIPTokenizer: lambda: CLIPTokenizer(vocab={"a": 0, "<|startoftext|>": 1, "<|endoftext|>": 2}, merges=[]),
        T5Tokenizer: lambda: T5Tokenizer(vocab=[("<pad>", 0.0), ("</s>", -1.0), ("<unk>", -2.0), ("a", -3.0)]),
    }
    with tempfile.TemporaryDirectory() as folder:
        for cls, build in builders.items():
            keys |= inspect.signature(cls.__init__).parameters.keys() - {"self", "kwargs"}
            build().save_pretrained(folder)
            keys |= json.loads((Path(folder) / "tokenizer_config.json").read_text()).keys()
    return keys


def of_preparation() -> Iterable[str]:
    """The keys of the file that transformers writes for CLIP's preparation of pictures."""
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    return set(CLIPImageProcessorPil().to_dict())


def tables() -> Mapping[str, tuple[Iterable[str], Table | frozenset[str]]]:
    """By the name of a class: the keys that it takes, and the table that decides them."""
    from_transformers = {name for name in CLASSES if name.startswith(("CLIP", "T5"))}
    models = {
        name: (of_transformers(name) if name in from_transformers else of_diffusers(name), table)
        for name, table in CLASSES.items()
    }
    pipelines = {name: (of_diffusers(name), MODEL_INDEX) for name in PIPELINES}
    schedulers = {name: (options(cls), OTHER_KEYS) for name, cls in scheduler_classes().items() if of_family(name)}
    return {
        **models,
        **pipelines,
        **schedulers,
        "tokenizers": (of_tokenizers(), TOKENIZERS),
        "preprocessor": (of_preparation(), PREPROCESSOR),
    }


def of_family(scheduler: str) -> bool:
    """Whether a folder of the four families may name a scheduler class: diffusers says which go together."""
    from diffusers.schedulers import KarrasDiffusionSchedulers

    others = ("LCMScheduler", "TCDScheduler", "SASolverScheduler", "FlowMatchEulerDiscreteScheduler")
    more = ("FlowMatchHeunDiscreteScheduler", "FlowMatchLCMScheduler", "DDIMParallelScheduler", "DDPMParallelScheduler")
    return scheduler in {*(each.name for each in KarrasDiffusionSchedulers), *others, *more}


def undecided() -> tuple[list[str], int]:
    """The keys without a decision, as "class: key"; and how many keys there are."""
    missing, count = [], 0
    for name, (keys, table) in tables().items():
        public = sorted(key for key in set(keys) if not key.startswith("_"))
        missing += [f"{name}: {key}" for key in public if key not in table]
        count += len(public)
    return missing, count

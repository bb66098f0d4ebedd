"""peft's `LoraConfig`, as an adapter's folder or a file's metadata holds it: what is read, and what is refused.

The strength of a layer is computed as peft does (`peft.tuners.lora.layer.LoraLayer.update_layer`): alpha ÷ r, or
alpha ÷ √r for rsLoRA (Kalajdzievski 2023), with the first pattern that matches the layer's name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from export.errors import BadFolderError
from export.keys.values import is_number

READ = {
    "peft_type": "LORA only",
    "r": "the rank; it must be that of the matrices",
    "lora_alpha": "alpha; 8 if missing, as in peft",
    "rank_pattern": "ranks of single layers; they must be those of the matrices",
    "alpha_pattern": "alphas of single layers",
    "use_rslora": "strength alpha ÷ √r",
    "bias": "`none` only",
    "init_lora_weights": "only what leaves the model's own weights as they are: true, false, gaussian, eva, orthogonal",
}
IGNORED = (
    *("task_type", "auto_mapping", "peft_version", "base_model_name_or_path", "revision", "inference_mode"),
    *("lora_dropout", "loftq_config", "eva_config", "corda_config", "lora_ga_config", "velora_config"),
    *("target_modules", "exclude_modules", "layers_to_transform", "layers_pattern"),
    *("runtime_config", "fan_in_fan_out", "qalora_group_size", "ensure_weight_tying", "megatron_core"),
)
"""Fields without effect: how it was trained, and which layers it changes, which the tensors say themselves."""
INITIAL = (True, False, "gaussian", "eva", "orthogonal")
"""`init_lora_weights` that leave the model's own weights as they are."""
REFUSED: dict[str, str] = {
    "use_dora": "a DoRA",
    "lora_bias": "a LoRA with biases",
    "modules_to_save": "a LoRA with whole modules",
    "trainable_token_indices": "a LoRA with trained tokens",
    "target_parameters": "a LoRA of bare parameters",
    "layer_replication": "a LoRA that repeats layers",
    "alora_invocation_tokens": "an activated LoRA",
    "use_qalora": "a QALoRA",
    "use_bdlora": "a block-diagonal LoRA",
    "arrow_config": "a router of LoRAs (Arrow)",
    "kasa_config": "a KaSA",
    "monteclora_config": "a MonteCLoRA",
    "megatron_config": "a LoRA of Megatron's layers",
}
"""Fields that change what an adapter is; refused unless they are empty."""
PEFT_ALPHA = 8
Value = TypeVar("Value")


@dataclass(frozen=True)
class PeftConfig:
    """The part of a `LoraConfig` from which strengths follow."""

    label: str
    """Where it stands, for messages."""
    alpha: float
    rank: int | None = None
    rslora: bool = False
    alpha_pattern: Mapping[str, float] = field(default_factory=dict)
    rank_pattern: Mapping[str, int] = field(default_factory=dict)

    def strength(self, names: Collection[str], rank: int) -> float:
        """The strength of a layer that has these names, whose matrices have this rank.

        Raises:
            BadFolderError: if the config says another rank.
        """
        declared = matching(self.rank_pattern, names, self.rank)
        if declared is not None and declared != rank:
            raise BadFolderError(
                f"{self.label} says rank {declared} for {next(iter(names))}, whose matrices have rank {rank}."
            )
        alpha = matching(self.alpha_pattern, names, self.alpha)
        return alpha / (math.sqrt(rank) if self.rslora else rank)


def matching(pattern: Mapping[str, Value], names: Collection[str], default: Value) -> Value:
    """The value of the first key that matches one of the names, as `peft.utils.other.get_pattern_key` matches."""
    for key, value in pattern.items():
        if any(re.match(rf"(.*\.)?({key})$", name) for name in names):
            return value
    return default


def read_config(content: Mapping[str, Any], label: str) -> PeftConfig:
    """Reads a config.

    Raises:
        BadFolderError: if it is not a plain LoRA's, holds a field that nobody has decided, or a value out of range.
    """
    expect_plain(content, label)
    rank, flag = content.get("r"), content.get("use_rslora") or False
    if not isinstance(flag, bool):
        raise BadFolderError(f"{label}: use_rslora is {flag!r}, neither true nor false.")
    alphas, ranks = (_patterns(content, name, label) for name in ("alpha_pattern", "rank_pattern"))
    return PeftConfig(
        label,
        _alpha(content.get("lora_alpha", PEFT_ALPHA), f"{label}: lora_alpha"),
        None if rank is None else _rank(rank, f"{label}: r"),
        flag,
        {key: _alpha(value, f"{label}: alpha_pattern") for key, value in alphas.items()},
        {key: _rank(value, f"{label}: rank_pattern") for key, value in ranks.items()},
    )


def expect_plain(content: Mapping[str, Any], label: str) -> None:
    """Refuses configs of anything other than a plain LoRA, by the field that says so."""
    if (kind := content.get("peft_type") or "LORA") != "LORA":
        raise BadFolderError(f"{label} describes {kind}; only plain LoRAs (peft_type LORA) can be served.")
    if (bias := content.get("bias") or "none") != "none":
        raise BadFolderError(f"{label} describes a LoRA with biases (bias {bias!r}), which is not served.")
    if (initial := content.get("init_lora_weights", True)) not in INITIAL:
        raise BadFolderError(
            f"{label} describes a LoRA on changed weights (init_lora_weights {initial!r}); save it again with "
            f"peft's save_pretrained(path_initial_model_for_weight_conversion=…)."
        )
    for name, value in content.items():
        if value and name in REFUSED:
            raise BadFolderError(f"{label} describes {REFUSED[name]} ({name}), which is not served.")
        if value and name not in (*READ, *IGNORED):
            raise BadFolderError(f"{label} has the field {name}, which this export does not know.")


def _patterns(content: Mapping[str, Any], name: str, label: str) -> Mapping[str, Any]:
    patterns = content.get(name) or {}
    if not isinstance(patterns, dict):
        raise BadFolderError(f"{label}: {name} is not an object.")
    for key in patterns:
        try:
            re.compile(key)
        except re.error as error:
            raise BadFolderError(f"{label}: {name} has {key!r}, which is not a regular expression.") from error
    return patterns


def _alpha(value: Any, label: str) -> float:
    if not is_number(value):
        raise BadFolderError(f"{label} is {value!r:.60}, not a finite number.")
    return float(value)


def _rank(value: Any, label: str) -> int:
    if not is_number(value) or value < 1 or value != int(value):
        raise BadFolderError(f"{label} is {value!r:.60}, not a positive whole number.")
    return int(value)

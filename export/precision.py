"""The precisions that a graph's arithmetic may have, and which model of an export has which."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from export.errors import ExportError

Precision = Literal["fp32", "fp16", "bf16", "fp8"]
"""fp8: fp16 arithmetic around matrix products of E4M3 numbers, whose scales are calibrated by a rehearsal."""
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
Storage = Literal["source", "fp16"]
"""How weights are stored: in the dtype of the folder's files, or fp16 in place of FP32. Arithmetic does not change."""
STORAGES: tuple[Storage, ...] = get_args(Storage)


@dataclass(frozen=True)
class Precisions:
    """One for all models, and others for some by name."""

    default: Precision = "fp32"
    models: Mapping[str, Precision] = field(default_factory=dict)

    def of(self, model: str) -> Precision:
        """The precision of a model's graph."""
        return self.models.get(model, self.default)

    @property
    def calibrated(self) -> bool:
        """Whether some graph needs scales that only a rehearsal can give."""
        return "fp8" in (self.default, *self.models.values())

    def expect(self, models: Collection[str]) -> None:
        """Refuses precisions for models that are not there.

        Raises:
            ExportError: naming the first.
        """
        for name in self.models:
            if name not in models:
                raise ExportError(f"--precision names the model {name!r}; there are {', '.join(models)}.")


def parse_precisions(texts: Iterable[str]) -> Precisions:
    """Reads `fp16` and `MODEL=fp32`, in any order.

    Raises:
        ExportError: if one is no precision that can be exported.
    """
    default: Precision = "fp32"
    models: dict[str, Precision] = {}
    for text in texts:
        model, _, name = text.rpartition("=")
        if name not in PRECISIONS:
            raise ExportError(f"--precision {text!r} is not one of {', '.join(PRECISIONS)}, nor MODEL=one of them.")
        if model:
            models[model] = name
        else:
            default = name
    return Precisions(default, models)


def lowest(precisions: Iterable[Precision]) -> Precision:
    """The precision that differs most from FP32."""
    return max(precisions, key=PRECISIONS.index)

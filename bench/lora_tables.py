"""The tables of docs/inputs.md on LoRAs, from the tables that the export reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from export.loras import keys, names, peft_config, strength


def endings_table(_: str = "") -> str:
    """How keys end, and what each part is."""
    rows = ((f"`{ending.example}`", ending.part, ending.formats) for ending in keys.ENDINGS)
    return _table(("keys end with", "part", "written by"), rows)


def wrappers_table(_: str = "") -> str:
    """What may stand before a layer's name."""
    rows = [(f"`{wrapper}`", who) for wrapper, who in names.WRAPPERS.items()]
    rows.append((", ".join(f"`{mark}`" for mark in names.COMPILED), "torch, anywhere in a name"))
    return _table(("before or inside the layer's name", "written by"), rows)


def text_encoders_table(_: str = "") -> str:
    """What keys of text encoders begin with."""
    return _table(("keys for", "begin with"), _grouped(names.TEXT_ENCODERS))


def refused_table(_: str = "") -> str:
    """What is no plain LoRA, by its keys and by peft's config."""
    by_key = ((foreign.what, f"key matches `{foreign.pattern}`") for foreign in keys.FOREIGN)
    rows = [(what, place.replace("|", "\\|")) for what, place in by_key]
    rows += [(what, f"`{name}` in peft's config") for name, what in peft_config.REFUSED.items()]
    return _table(("refused", "seen by"), rows)


def peft_fields_table(_: str = "") -> str:
    """The fields of peft's config that are read, and those without effect."""
    rows = [(f"`{name}`", what) for name, what in peft_config.READ.items()]
    rows.append((", ".join(f"`{name}`" for name in sorted(peft_config.IGNORED)), "without effect on a trained adapter"))
    return _table(("field", "read as"), rows)


def metadata_table(_: str = "") -> str:
    """Text in a safetensors file's metadata that says a strength."""
    rows = [(f"`{strength.ADAPTER_METADATA}`", "peft's config as JSON, as diffusers writes it")]
    rows += [(f"`{name}`", f"`{field}` of peft's config") for name, field in strength.PLAIN.items()]
    return _table(("metadata", "read as"), rows)


MAKERS = {
    "lora-endings": endings_table,
    "lora-wrappers": wrappers_table,
    "lora-text-encoders": text_encoders_table,
    "lora-refused": refused_table,
    "lora-peft-fields": peft_fields_table,
    "lora-metadata": metadata_table,
}


def _grouped(parts: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    for part in dict.fromkeys(parts.values()):
        yield f"`{part}`", ", ".join(f"`{prefix}`" for prefix, other in parts.items() if other == part)


def _table(headings: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(headings)} |", "|" + "---|" * len(headings)]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"

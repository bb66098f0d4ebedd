"""The tables of docs/inputs.md on pipeline folders, from the tables that the export reads."""

from __future__ import annotations

from bench.key_tables import names, table, value
from export.layout import KINDS
from export.pipeline_classes import CLASSES
from export.settings import VALUES
from export.tensor_files import BITS, PICKLES
from export.tokenizer import CLIP_TOKENS, T5_TOKENS


def components_table(_: str = "") -> str:
    """The component folders that are read."""
    rows = {}
    for kind in KINDS.values():
        tokenizer = f"`{kind.tokenizer}/`" if kind.tokenizer else ""
        rows[kind.folder] = (f"`{kind.folder}/`", names(kind.classes), f"`{kind.weights}`", tokenizer)
    return table(("folder", "class of its config", "weights", "tokenizer"), rows.values())


def pipeline_classes_table(_: str = "") -> str:
    """What a pipeline's class decides."""
    rows = (
        (f"`{name}`", str(cls.steps), f"{cls.guidance_scale:g}", "zeros" if cls.zeros else "the empty prompt, encoded")
        for name, cls in CLASSES.items()
    )
    return table(("`_class_name` of model_index.json", "steps", "guidance", "no negative prompt means"), rows)


def settings_table(_: str = "") -> str:
    """The settings of backdrop.json."""
    return table(("setting of backdrop.json", "value"), ((f"`{name}`", rule.values) for name, rule in VALUES.items()))


def files_table(_: str = "") -> str:
    """What weights files and tokenizers are checked for."""
    tokens = (f"{kind}: {', '.join(f'`{key}` {value(text)}' for key, text in some.items())}" for kind, some in TOKENS)
    rows = [
        ("dtypes whose sizes are checked in safetensors files", names(BITS)),
        ("pickles, refused", names(PICKLES)),
        ("tokens of a tokenizer folder that names none", "; ".join(tokens).replace("|", "\\|")),
    ]
    return table(("what", "values"), rows)


TOKENS = (("CLIP", CLIP_TOKENS), ("T5", T5_TOKENS))
MAKERS = {
    "checkpoint-components": components_table,
    "checkpoint-classes": pipeline_classes_table,
    "checkpoint-settings": settings_table,
    "checkpoint-files": files_table,
}

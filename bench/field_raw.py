"""Raw exceptions: broken inputs of every kind that are neither read nor refused by an error of ours."""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from bench.figures import ROOT, Figure, at_most
from tests.export import tiny
from tests.field.raw import loras, pipelines, settings, tokenizers
from tests.field.raw.cases import READ, REFUSED, Case, outcome

Kind = Callable[[Path], Iterator[Case]]


def _pipelines(folder: Path) -> Iterator[Case]:
    with contextlib.redirect_stderr(io.StringIO()):
        tiny.write_pipelines(folder / "good")
    return pipelines.cases(folder / "spoilt", folder / "good")


KINDS: Mapping[str, Kind] = {
    "configs, weights and indexes of pipeline folders": _pipelines,
    "LoRA files and folders": loras.cases,
    "tokenizer folders": tokenizers.cases,
    "values of pipeline.json": lambda _: pipelines.documents(ROOT / "triton_repo" / "pipeline.json"),
    "files of pipeline.json": lambda folder: pipelines.files(folder / "repository"),
    "values of the environment": settings.cases,
}


def raw_exceptions(command_line: str) -> list[Figure]:
    """Reads every broken input of every kind; `command_line` measures it again."""
    figures = []
    for kind, cases in KINDS.items():
        with tempfile.TemporaryDirectory() as folder:
            counts, raw = count(cases(Path(folder)))
        name = f"{kind}: raw exceptions"
        spread = f"of {sum(counts.values())} broken or odd ones; {counts[REFUSED]} refused, {counts[READ]} read"
        figures.append(Figure(name, len(raw), at_most(0, ", ".join(raw[:5])), command_line, spread))
    return figures


def count(cases: Iterator[Case]) -> tuple[Counter[str], list[str]]:
    """How many cases ended how, and those that ended in something else than an error of ours."""
    counts: Counter[str] = Counter()
    raw = []
    for case in cases:
        result = outcome(case)
        counts[result if result in (READ, REFUSED) else "raw"] += 1
        if result not in (READ, REFUSED):
            raw.append(f"{case.name}: {result}")
    return counts, raw

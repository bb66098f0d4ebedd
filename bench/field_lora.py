"""The mark of LoRA files: layouts whose updates are not the weights that peft merges."""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.figures import Figure, at_most
from tests.export import lora_layouts


def layouts(command: str) -> list[Figure]:
    """Reads every layout of the tests' table and compares it with peft; `command` measures it again."""
    with tempfile.TemporaryDirectory() as folder:
        differing = lora_layouts.differing(Path(folder))
    name = "LoRA layouts whose strength differs from peft's own merge"
    spread = f"{len(lora_layouts.CASES)} layouts of three networks, every layer, relative 1e-6"
    return [Figure(name, len(differing), at_most(0, ", ".join(differing)), command, spread)]

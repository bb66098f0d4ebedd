"""The text of docs/gallery.md: for each task its description, and for each example its command and its strip."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from backdrop._cli.examples import EXAMPLES, Example
from backdrop._cli.task_command import name_of
from backdrop.contract.rules import TASKS as RULES
from backdrop.tasks import TASKS

VARIANTS = 3
_HEAD = """# Gallery: every task on the sample pictures

`make gallery` wrote this page. It starts the local cluster and runs the examples of `backdrop TASK --help` in the
folder `examples/`, with seed 0 for the first variant; no picture was chosen by hand. In each strip the sent pictures
are at the left, and the results are at the right, the best first by the served reward model. The reference models are
small and were trained on rendered pictures of a procedural world ([model card](models.md)).
"""
NOTES: Mapping[str, str] = {
    "background": "The product is exact. What is thin or regular, such as palms and windows, falls apart.",
    "text_to_image": "The product of the prompt is recognised in two of three pictures; its shape is rough.",
    "erase": "The product goes with its shadow; where several things met behind it, a pale spot may stay.",
    "fill": "The product of the prompt is recognised in nine of ten pictures, without details, and with a soft rim.",
    "vary": "Fine details of the sent picture are lost already at a small strength.",
    "expand": "Sky, horizon and ground go on; trees and mountains are painted coarser than in the sent picture.",
}
"""What the shipped models do not do well, by task. Look at the pictures again when the models change."""


@dataclasses.dataclass(frozen=True)
class Exhibit:
    """What an example made, or why it made nothing."""

    example: Example
    image: str = ""
    """File in docs/images/gallery/."""
    refusal: str = ""


def command_of(task: str, example: Example) -> str:
    """The example's command with seed 0 and several variants, where the task samples."""
    if not RULES[task].sampled:
        return example.command
    variants = "" if "--variants" in example.command else f" --variants {VARIANTS}"
    return f"{example.command} --seed 0{variants}"


def page(exhibits: Mapping[str, Sequence[Exhibit]]) -> str:
    """The page for the exhibits of each task."""
    parts = [_HEAD]
    for name, task in TASKS.items():
        parts.append(f"\n## {name_of(task).replace('-', ' ').capitalize()}\n{RULES[name].description}\n")
        if name in NOTES:
            parts.append(f"\n{NOTES[name]}\n")
        parts += [_shown(name, exhibit) for exhibit in exhibits[name]]
    return "".join(parts)


def _shown(task: str, exhibit: Exhibit) -> str:
    text = f"\n{exhibit.example.text}\n```sh\n{command_of(task, exhibit.example)}\n```\n"
    if exhibit.refusal:
        return f"{text}\nRefused: {exhibit.refusal}\n"
    return f"{text}\n![{exhibit.example.text}](images/gallery/{exhibit.image})\n"


def every_example() -> Mapping[str, Sequence[Example]]:
    """The examples of all tasks, in the order of the page."""
    return {name: EXAMPLES[name] for name in TASKS}

"""The walk of a rehearsal's examples through a pipeline; each example's photo is its style picture too."""

from __future__ import annotations

from collections.abc import Sequence

from export.rehearsal.examples import Example
from export.source import PipelineFolder
from export.walk.frame import WalkFrame
from export.walk.runner import Bytes, Listener, Opener, no_listener
from export.walk.walk import Walk, WalkRequest, to_bytes


def walk_examples(
    folder: PipelineFolder, examples: Sequence[Example], steps: int, open_role: Opener, listen: Listener = no_listener
) -> tuple[Bytes, ...]:
    """Makes every example's picture [H, W, 3] in the pipeline's first size bucket, with its default guidance."""
    height, width = folder.settings["buckets"][0]
    guidance = float(folder.settings["defaults"]["guidance_scale"])
    hard = folder.conventions["latent_mask"] == "nearest"
    requests = []
    for seed, example in enumerate(examples):
        frame = WalkFrame.of(example.photo, example.mask, (height, width), folder.latent_factor, hard=hard)
        requests.append(WalkRequest(example.prompt, frame, steps, guidance, seed, style=frame.image))
    return tuple(to_bytes(result.picture[0]) for result in Walk(folder, open_role, listen).run(requests))

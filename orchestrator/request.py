"""A request that has passed every check that needs neither model nor pixels: what to make, and on which pipeline."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from backdrop.contract.geometry import Size
from backdrop.contract.parts import Conditioning, Parts, row_steps, saved_row_steps, sequential_steps
from backdrop.contract.pictures import StyleReading
from backdrop.contract.request_warnings import RequestWarning
from backdrop.contract.tiling import Tiling, tiling_of
from backdrop.contract.write import fingerprints_message
from orchestrator.repository import UPSCALER, PipelineSpec
from orchestrator.tasks import Task, TaskInput


@dataclasses.dataclass(frozen=True, eq=False)
class SentPictures:
    """A request's pictures as they were sent; they are decoded when their turn comes, perhaps more than once.

    The functions block, and raise InvalidRequestError for a picture that is faulty.
    """

    size_bytes: int
    """Of the whole message."""
    megapixels: float
    """Of the task's pictures together, by their headers; or of a style picture that is larger."""
    styles: int
    """Number of style pictures."""
    read_input: Callable[[], TaskInput]
    """Decodes the task's pictures, and makes the task's checks."""
    read_style: Callable[[], StyleReading]


@dataclasses.dataclass(frozen=True, eq=False)
class Request:
    """What the api hands to the pipeline. The pipeline hands each stage the part that it reads."""

    request_id: str
    pipeline: PipelineSpec
    task: Task
    input: TaskInput
    """Without pictures while those are in `sent`."""
    parts: Parts
    """Without style pictures while those are in `sent`."""
    sent: SentPictures | None = None
    """None: `input` and `parts` hold the pictures, decoded."""
    warnings: tuple[RequestWarning, ...] = ()
    """About its fields; those about its pictures come with the pictures."""
    more_layouts: tuple[TaskInput, ...] = ()
    """What is laid out in another way, without pictures; `input` is the first layout."""

    @property
    def layouts(self) -> tuple[TaskInput, ...]:
        """One for each way of laying the pictures out."""
        return (self.input, *self.more_layouts)

    def read_layout(self, layout: TaskInput) -> TaskInput:
        """A layout with its pictures decoded. Blocks."""
        decoded = self.read_input()
        return dataclasses.replace(decoded, options=layout.options, delivery_size=layout.delivery_size)

    @property
    def adapters(self) -> dict[str, float]:
        """Weight by name: the pipeline's for the task, unless the request gives them a weight, and the request's."""
        requested = {each.name: each.weight for each in self.parts.conditioning.adapters}
        return {**self.pipeline.task_adapters.get(self.task.name, {}), **requested}

    @property
    def fingerprints(self) -> dict[str, str]:
        """Digests of the models and adapters that make the pictures, by the names of `Summary.model_fingerprints`."""
        used = {name: self.pipeline.adapters[name].digest for name in self.adapters}
        return fingerprints_message(self.pipeline.fingerprints, used)

    @property
    def tilings(self) -> tuple[Tiling, ...]:
        """The scene of each layout, and its tiles; they do not depend on the frame."""
        return tuple(tiling_of(layout.size, layout.buckets) for layout in self.layouts)

    @property
    def tiling(self) -> Tiling:
        """The first layout's."""
        return self.tilings[0]

    @property
    def usage(self) -> Usage:
        """What it costs at the denoiser."""
        sampling, selection, tilings = self.parts.sampling, self.parts.selection, self.tilings
        rows, saved = row_steps(sampling, selection), saved_row_steps(sampling, selection)
        tiles = sum(tiling.count for tiling in tilings)
        return Usage(rows * tiles, saved * tiles, sum(tiling.megapixels for tiling in tilings) / tiles)

    @property
    def work(self) -> float:
        """Rows × megapixels of all models, which queues and quotas count: denoiser, decoder, reward and upscaler.

        A picture that no model makes is counted as one row of its size.
        """
        sampled = self.task.rules.sampled
        # After denoising, a tile of a variant has one row at the decoder and one at the reward model.
        after = self.parts.selection.variants * (2 if self.pipeline.scores else 1)
        work = self.usage.work + after * sum(tiling.megapixels for tiling in self.tilings) if sampled else 0.0
        pictures = self.parts.selection.top_k if sampled else 1
        for layout, tiling in zip(self.layouts, self.tilings, strict=True):
            work += pictures * self._upscaler_work(layout, tiling.scene) + (0.0 if sampled else layout.size.megapixels)
        return work

    def _upscaler_work(self, layout: TaskInput, scene: Size) -> float:
        """Of one picture, whose scene the upscaler enlarges: once, or as often as the task upscale needs."""
        spec, own = self.pipeline.upscaler, UPSCALER in self.task.roles
        if spec is None or not (self.task.rules.sampled or own):
            return 0.0
        source = layout.picture_size or layout.size if own else scene
        return sum(spec.megapixels(size) for size in spec.passes(source, layout.size, once=not own))

    @property
    def sequential_steps(self) -> int:
        """Steps that one variant takes one after another, its draft's steps included."""
        return sequential_steps(self.parts.sampling, self.parts.selection)

    @property
    def pixels_mp(self) -> float:
        """Megapixels that it draws on the budget of pixels: of the pictures that are sent, or of a larger result."""
        largest = max(layout.size.megapixels for layout in self.layouts)
        return max(largest, self.sent.megapixels if self.sent else 0.0)

    @property
    def style_pictures(self) -> int:
        """Number of style pictures."""
        return self.sent.styles if self.sent else len(self.parts.conditioning.style)

    def read_input(self) -> TaskInput:
        """The task's input with its pictures decoded. Blocks."""
        return self.sent.read_input() if self.sent else self.input

    def read_conditioning(self) -> Conditioning:
        """The conditioning with its style pictures decoded. Blocks."""
        if self.sent is None:
            return self.parts.conditioning
        style, notes = self.sent.read_style()
        return dataclasses.replace(self.parts.conditioning, style=style, warnings=notes)


@dataclasses.dataclass(frozen=True)
class Usage:
    """What a request costs: denoiser rows, the rows that its options save, and the size of each in megapixels."""

    row_steps: int
    saved_row_steps: int
    megapixels: float

    @property
    def work(self) -> float:
        """Row-steps × megapixels: what quotas count."""
        return self.row_steps * self.megapixels

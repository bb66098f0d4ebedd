"""The frame of one request: made from its encoded pictures when a stage needs it, and not held in between."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import uuid
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from backdrop.contract.canvas import MaskSource
from backdrop.contract.request_warnings import RequestWarning
from orchestrator.arrays import Bytes, Floats
from orchestrator.budget import Budget
from orchestrator.cache.memory import MemoryTier
from orchestrator.imaging.frame import Frame
from orchestrator.repository.conventions import HoleColours
from orchestrator.tasks import MaskedPicture, MaskNeed, Task, TaskInput

T = TypeVar("T")
FRAME_BYTES = 4
"""Memory of a frame for each pixel: three colours and the mask."""
_KEPT_S = 3600.0


class PixelMemory:
    """Memory for pictures at full size, shared by all requests.

    Work on pictures draws on `budget`, in megapixels. Frames are kept between two stages while there is room for them;
    the least recently used one is given up first, and made again when it is needed.

    Args:
        megapixels: of the pictures that are worked on at the same time, and likewise of the frames that are kept.
    """

    def __init__(self, megapixels: float) -> None:
        self.budget = Budget(megapixels)
        self.frames: MemoryTier[Frame] = MemoryTier(int(megapixels * 1e6 * FRAME_BYTES))


@dataclasses.dataclass(frozen=True, eq=False)
class Unmasked:
    """A picture whose mask must be made first."""

    index: int
    """Its place among the task's pictures, from 0."""
    field: str
    """The path of its mask."""
    image: Floats
    """[3, h, w] in −1…1, as the segmenter reads it."""


class FrameSource:
    """Makes the frame of one request, as often as it is needed.

    Args:
        task: makes the frame.
        read: decodes and checks the task's pictures. Blocks.
        megapixels: of the largest picture.
        memory: shared by all requests.
        colours: what colours a made part has that continues a known one.
    """

    def __init__(
        self,
        task: Task,
        read: Callable[[], TaskInput],
        megapixels: float,
        memory: PixelMemory,
        colours: HoleColours = HoleColours.CONTINUED,
    ) -> None:
        self.task = task
        self._colours = colours
        self._read, self._megapixels, self._memory = read, megapixels, memory
        # Its own, whatever requests are called: a frame must never be another request's.
        self._key = uuid.uuid4().hex
        self._masks: dict[int, Callable[[Bytes], Bytes]] = {}
        self.warnings: tuple[RequestWarning, ...] = ()
        """What was corrected in the pictures; empty until they are decoded."""

    async def seen(self, look: Callable[[Frame], T], shrink: Callable[[Bytes], Floats]) -> T | list[Unmasked]:
        """What `look` makes of the frame; or what `shrink` makes of the pictures whose masks must still be made.

        Both run in a thread. The pictures are decoded once for either.

        Raises:
            InvalidRequestError: a picture is faulty, or the pictures leave nothing to make.
        """

        def work() -> T | list[Unmasked]:
            inputs = self._decoded()
            if self.task.mask is MaskNeed.SEGMENTED:
                unmasked = [
                    Unmasked(index, f"{each.field}.mask", shrink(each.picture))
                    for index, each in enumerate(inputs.pictures(self.task.name))
                    if each.mask is None
                ]
                if unmasked:
                    return unmasked
            frame = self._keep(self.task.frame(inputs))
            del inputs  # the picture is in the frame now
            return look(frame)

        async with self._memory.budget.hold(self._megapixels):
            return await asyncio.to_thread(work)

    def masked_by(self, index: int, mask: Callable[[Bytes], Bytes]) -> None:
        """From now on the mask [H, W] of a picture [H, W, 3] of the task is what `mask` makes for it."""
        self._masks[index] = mask

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[Frame]:
        """The frame, and the right to work at its size.

        Raises:
            InvalidRequestError: a picture is faulty, or the pictures leave nothing to make.
        """
        async with self._memory.budget.hold(self._megapixels):
            frame = self._memory.frames.get(self._key)
            yield await asyncio.to_thread(self._make) if frame is None else frame

    def close(self) -> None:
        """Gives the frame up."""
        self._memory.frames.discard(self._key)

    def _decoded(self) -> TaskInput:
        inputs = self._read()
        self.warnings = inputs.warnings
        if not self._masks:
            return inputs
        pictures = list(inputs.pictures(self.task.name))
        for index, mask in self._masks.items():
            each = pictures[index]
            pictures[index] = MaskedPicture(each.field, each.picture, mask(each.picture), MaskSource.SEGMENTER)
        first, *more = pictures
        return dataclasses.replace(inputs, mask=first.mask, mask_source=first.mask_source, more=tuple(more))

    def _make(self) -> Frame:
        return self._keep(self.task.frame(self._decoded()))

    def _keep(self, frame: Frame) -> Frame:
        if frame.continues and self._colours is HoleColours.DECODED:
            frame = dataclasses.replace(frame, continues=False)
        self._memory.frames.put(self._key, frame, frame.nbytes, _KEPT_S)
        return frame

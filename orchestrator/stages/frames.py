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
from orchestrator.tasks import MaskNeed, Task, TaskInput

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
    """A picture whose mask must be made first: [3, h, w] in −1…1, as the segmenter reads it."""

    image: Floats


class FrameSource:
    """Makes the frame of one request, as often as it is needed.

    Args:
        task: makes the frame.
        read: decodes and checks the task's pictures. Blocks.
        megapixels: of the largest picture.
        memory: shared by all requests.
    """

    def __init__(self, task: Task, read: Callable[[], TaskInput], megapixels: float, memory: PixelMemory) -> None:
        self.task = task
        self._read, self._megapixels, self._memory = read, megapixels, memory
        # Its own, whatever requests are called: a frame must never be another request's.
        self._key = uuid.uuid4().hex
        self._mask: Callable[[Bytes], Bytes] | None = None
        self.warnings: tuple[RequestWarning, ...] = ()
        """What was corrected in the pictures; empty until they are decoded."""

    async def seen(self, look: Callable[[Frame], T], shrink: Callable[[Bytes], Floats]) -> T | Unmasked:
        """What `look` makes of the frame; or, if its mask must still be made, what `shrink` makes of the picture.

        Both run in a thread. The pictures are decoded once for either.

        Raises:
            InvalidRequestError: a picture is faulty, or the pictures leave nothing to make.
        """

        def work() -> T | Unmasked:
            inputs = self._decoded()
            if self.task.mask is MaskNeed.SEGMENTED and inputs.mask is None:
                assert inputs.picture is not None, "a task that takes a mask requires a picture"
                return Unmasked(shrink(inputs.picture))
            frame = self._keep(self.task.frame(inputs))
            del inputs  # the picture is in the frame now
            return look(frame)

        async with self._memory.budget.hold(self._megapixels):
            return await asyncio.to_thread(work)

    def masked_by(self, mask: Callable[[Bytes], Bytes]) -> None:
        """From now on the mask [H, W] is what `mask` makes for the picture [H, W, 3]."""
        self._mask = mask

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
        if self._mask is None:
            return inputs
        assert inputs.picture is not None, "the mask was made from the picture"
        return dataclasses.replace(inputs, mask=self._mask(inputs.picture), mask_source=MaskSource.SEGMENTER)

    def _make(self) -> Frame:
        return self._keep(self.task.frame(self._decoded()))

    def _keep(self, frame: Frame) -> Frame:
        self._memory.frames.put(self._key, frame, frame.nbytes, _KEPT_S)
        return frame

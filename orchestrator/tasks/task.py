"""What a task is: a description of how pictures become a frame, and of how results are ranked."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Sequence
from typing import Any

from backdrop.contract.canvas import MaskSource
from backdrop.contract.geometry import Size
from backdrop.contract.masks import Matte
from backdrop.contract.parts import Delivery
from backdrop.contract.request_warnings import RequestWarning
from backdrop.contract.rules import TaskRules
from backdrop.v1.info_service_pb2 import Limits
from orchestrator.arrays import Bytes
from orchestrator.imaging.frame import Frame


class MaskNeed(enum.Enum):
    """Where a task's mask comes from."""

    NONE = "none"
    """It takes none."""
    REQUIRED = "required"
    """Its field `mask`, which is required."""
    SEGMENTED = "segmented"
    """Its field `mask`, else the picture's alpha channel, else the segmenter."""


@dataclasses.dataclass(frozen=True, eq=False)
class MaskedPicture:
    """One of the pictures that a task takes besides its first one."""

    field: str
    """The path of the message that holds it."""
    picture: Bytes
    """[H, W, 3]."""
    mask: Bytes | None
    """[H, W]; None until the segmenter has made it."""
    mask_source: MaskSource


@dataclasses.dataclass(frozen=True, eq=False)
class TaskInput:
    """What a task makes its frame from."""

    options: Any
    """What the task's `read` returned."""
    buckets: tuple[Size, ...]
    """The sizes that the pipeline's models see."""
    delivery_size: Size | None = None
    """Of the result; None = the picture's size."""
    picture: Bytes | None = None
    """[H, W, 3], or [H, W, 4] with alpha that the task keeps; None if it takes none, and until it is decoded."""
    mask: Bytes | None = None
    """[H, W]; None if the task takes no mask, and until the segmenter has made it."""
    mask_source: MaskSource = MaskSource.REQUEST
    more: tuple[MaskedPicture, ...] = ()
    """Further pictures, once they are decoded."""
    start: Bytes | None = None
    """[H, W, 3]: a picture that noise starts from, if the request has one and it is decoded."""
    strength: float = 1.0
    """The fraction of the steps that are taken."""
    warnings: tuple[RequestWarning, ...] = ()
    """What was corrected in pictures and masks, once they are decoded."""
    picture_size: Size | None = None
    """By the picture's header; None if the task takes no picture."""

    def pictures(self, task: str) -> tuple[MaskedPicture, ...]:
        """Its pictures, decoded; the first one's path is that of the task."""
        if self.picture is None:
            return ()
        return (MaskedPicture(task, self.picture, self.mask, self.mask_source), *self.more)

    @property
    def size(self) -> Size:
        """The size of the frame: the requested one, else the picture's, else the first bucket."""
        if self.delivery_size is not None:
            return self.delivery_size
        if self.picture is not None:
            return Size(self.picture.shape[1], self.picture.shape[0])
        return self.picture_size or self.buckets[0]


def _nothing_to_check(inputs: TaskInput) -> None:
    pass


@dataclasses.dataclass(frozen=True)
class Task:
    """One task. `read` and `check` raise InvalidRequestError, which names the field and the fix."""

    rules: TaskRules
    """Its name, and the fields of a request that it takes."""
    frame: Callable[[TaskInput], Frame]
    """Makes the frame; raises InvalidRequestError if the pictures leave nothing to make."""
    read: Callable[[Any, Delivery], Any] = lambda message, delivery: None
    """Reads the fields of its message that are not pictures."""
    layouts: Callable[[Any, TaskInput, Limits], tuple[tuple[Any, Size], ...]] = lambda message, inputs, limits: ()
    """The options and the size of each of its layouts; () if it has one, as `read` and `size` say."""
    size: Callable[[TaskInput, int], Size] = lambda inputs, max_pixels: inputs.size
    """The size of its result, of at most `max_pixels`; the pictures need not be decoded yet."""
    check: Callable[[TaskInput], None] = _nothing_to_check
    """Checks the decoded pictures before anything is computed.

    A mask that is not required may still be missing; then it is also called before anything is decoded."""
    picture: str = ""
    """The field of its message that holds the picture; "" if it takes none."""
    mask: MaskNeed = MaskNeed.NONE
    more: str = ""
    """The repeated field whose messages hold further pictures and masks, in fields of the same names; "" if none."""
    start: str = ""
    """The optional field of its message that holds a picture that noise starts from; "" if there is none."""
    check_sizes: Callable[[Sequence[Size], int], None] = lambda sizes, max_pixels: None
    """Checks the sizes of all its pictures against the largest that one may have."""
    mask_warnings: Callable[[Matte, str], tuple[RequestWarning, ...]] = lambda matte, path: ()
    """What is suspicious about a mask that is taken all the same; the path is that of the message that holds it."""
    keeps_pixels: bool = False
    """Whether it keeps pixels of a picture, so that the denoiser must see them."""
    keeps_alpha: bool = False
    """Whether its picture keeps its alpha channel, as a fourth one; else the channel is a mask, or is dropped."""
    roles: tuple[str, ...] = ()
    """Roles that it needs, of those that a pipeline may lack. A pipeline without them does not serve the task."""
    heads: tuple[str, ...] = ()
    """The reward model's heads that rank its variants; () = all."""

    @property
    def name(self) -> str:
        """The field of the oneof `GenerateRequest.task`."""
        return self.rules.name

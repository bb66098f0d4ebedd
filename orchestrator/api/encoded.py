"""The pictures of a message, encoded: their sizes by their headers at once, their pixels when their turn comes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from backdrop.contract.geometry import Size
from backdrop.contract.masks import check_mask_size, check_segmentable, read_mask
from backdrop.contract.pictures import Photo, StyleReading, alpha_warnings, decode_photo, decode_style, over_grey
from backdrop.contract.raster import Header, read_header
from backdrop.contract.upscaling import with_alpha
from backdrop.contract.vocabulary import FORMATS
from backdrop.v1 import generation_service_pb2 as pb
from backdrop.v1 import info_service_pb2 as info_pb
from orchestrator.arrays import Bytes
from orchestrator.imaging.clip_square import clip_square
from orchestrator.tasks import MaskNeed, Task, TaskInput


def clip_pixels(photo: Photo, resize: int, crop: int) -> Bytes:
    """A style picture [crop, crop, 3] by CLIP's own preprocessing; transparent parts lie over mid grey."""
    return clip_square(over_grey(photo), resize, crop)


@dataclasses.dataclass(frozen=True, eq=False)
class EncodedPictures:
    """The pictures of one request."""

    task: Task
    message: pb.GenerateRequest
    pipeline: info_pb.Pipeline
    max_pixels: int
    resample: Callable[[Photo], Bytes] | None = None
    """How a style picture becomes a square; None: as the contract has it."""

    def sizes(self) -> dict[str, Size]:
        """The upright size of every picture, by its field.

        Raises:
            InvalidRequestError: a picture is no still PNG, JPEG or WebP or too large, or a mask has another size.
        """
        headers: dict[str, Header] = {}
        for field in (self.task.picture, "mask" if self._has_mask else ""):
            if field:
                path = f"{self.task.name}.{field}"
                headers[field] = read_header(self._data(field), max_pixels=self.max_pixels, field=path)
        if "mask" in headers:
            picture = headers[self.task.picture]
            check_mask_size(headers["mask"].size, picture.size, picture.orientation, f"{self.task.name}.mask")
        for index, style in enumerate(self.message.conditioning.style_images):
            path = f"conditioning.style_images[{index}].image"
            headers[path] = read_header(style.image, max_pixels=self.max_pixels, field=path)
        return {field: header.size for field, header in headers.items()}

    def read_input(self, task_input: TaskInput) -> TaskInput:
        """`task_input` with the task's pictures decoded, after the task's own checks.

        Raises:
            InvalidRequestError: a picture is damaged, or the task refuses it; the error names the field.
        """
        if self.task.picture:
            field = f"{self.task.name}.{self.task.picture}"
            photo = decode_photo(self._data(self.task.picture), max_pixels=self.max_pixels, field=field)
            picture, notes = photo.rgb, photo.warnings
            if self.task.keeps_alpha:
                picture, more = with_alpha(photo, FORMATS[self.message.delivery.format], field)
                notes = (*notes, *more)
            elif self.task.mask is not MaskNeed.SEGMENTED:
                notes = (*notes, *alpha_warnings(photo, field))
            task_input = dataclasses.replace(task_input, picture=picture)
            if self.task.mask is not MaskNeed.NONE:
                names = {"task": self.task.name, "picture": self.task.picture}
                matte = read_mask(self._data("mask"), photo, max_pixels=self.max_pixels, **names)
                check_segmentable(matte.values, self.pipeline, f"{self.task.name}.mask")
                notes = (*notes, *matte.warnings, *self.task.mask_warnings(matte))
                task_input = dataclasses.replace(task_input, mask=matte.values, mask_source=matte.source)
            task_input = dataclasses.replace(task_input, warnings=notes)
        self.task.check(task_input)
        return task_input

    def read_style(self) -> StyleReading:
        """The style pictures, decoded, and what was corrected in them.

        Raises:
            InvalidRequestError: one is damaged; the error names the field.
        """
        return decode_style(self.message.conditioning, max_pixels=self.max_pixels, resample=self.resample)

    @property
    def _has_mask(self) -> bool:
        return self.task.mask is not MaskNeed.NONE and bool(self._data("mask"))

    def _data(self, field: str) -> bytes:
        data: bytes = getattr(getattr(self.message, self.task.name), field)
        return data

"""The pictures of a message, encoded: their sizes by their headers at once, their pixels when their turn comes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from backdrop.contract.canvas import MaskSource
from backdrop.contract.geometry import Size
from backdrop.contract.masks import check_mask_size, check_segmentable
from backdrop.contract.pictures import Photo, StyleReading, alpha_warnings, decode_style, over_grey
from backdrop.contract.raster import read_header
from backdrop.contract.request_warnings import RequestWarning
from backdrop.contract.upscaling import with_alpha
from backdrop.contract.vocabulary import FORMATS
from backdrop.v1 import generation_service_pb2 as pb
from backdrop.v1 import info_service_pb2 as info_pb
from orchestrator.arrays import Bytes
from orchestrator.decoding import HERE, Decoder
from orchestrator.imaging.clip_square import clip_square
from orchestrator.tasks import MaskedPicture, MaskNeed, Task, TaskInput


def clip_pixels(photo: Photo, resize: int, crop: int) -> Bytes:
    """A style picture [crop, crop, 3] by CLIP's own preprocessing; transparent parts lie over mid grey."""
    return clip_square(over_grey(photo), resize, crop)


@dataclasses.dataclass(frozen=True)
class Sizes:
    """What the headers of a request's pictures say."""

    pictures: tuple[Size, ...]
    """The upright sizes of the task's pictures, without masks."""
    megapixels: float
    """Of what is in memory at the same time: the task's pictures, or the largest style picture."""


@dataclasses.dataclass(frozen=True, eq=False)
class EncodedPictures:
    """The pictures of one request."""

    task: Task
    message: pb.GenerateRequest
    pipeline: info_pb.Pipeline
    max_pixels: int
    resample: Callable[[Photo], Bytes] | None = None
    """How a style picture becomes a square; None: as the contract has it."""
    decoder: Decoder = HERE

    def sizes(self) -> Sizes:
        """The upright size of every picture.

        Raises:
            InvalidRequestError: a picture is no still PNG, JPEG or WebP or too large, or a mask has another size.
        """
        pictures, styles = [], []
        for path, message in self._holders():
            header = read_header(
                self._picture(message), max_pixels=self.max_pixels, field=f"{path}.{self.task.picture}"
            )
            pictures.append(header.size)
            if self.task.mask is not MaskNeed.NONE and message.mask:
                mask = read_header(message.mask, max_pixels=self.max_pixels, field=f"{path}.mask")
                check_mask_size(mask.size, header.size, header.orientation, f"{path}.mask")
        self.task.check_sizes(pictures, self.max_pixels)
        together = sum(size.megapixels for size in pictures)
        if start := self._start():
            together += read_header(start, max_pixels=self.max_pixels, field=self._start_field).size.megapixels
        for index, style in enumerate(self.message.conditioning.style_images):
            path = f"conditioning.style_images[{index}].image"
            styles.append(read_header(style.image, max_pixels=self.max_pixels, field=path).size)
        return Sizes(tuple(pictures), max([together, *(size.megapixels for size in styles)]))

    def read_input(self, task_input: TaskInput) -> TaskInput:
        """`task_input` with the task's pictures decoded, after the task's own checks.

        Raises:
            InvalidRequestError: a picture is damaged, or the task refuses it; the error names the field.
        """
        decoded = [self._decoded(path, message) for path, message in self._holders()]
        if decoded:
            first, *more = (each for each, _ in decoded)
            task_input = dataclasses.replace(
                task_input,
                picture=first.picture,
                mask=first.mask,
                mask_source=first.mask_source,
                more=tuple(more),
                warnings=tuple(note for _, notes in decoded for note in notes),
            )
        self.task.check(task_input)
        if start := self._start():
            photo = self.decoder.photo(start, max_pixels=self.max_pixels, field=self._start_field)
            notes = (*task_input.warnings, *photo.warnings, *alpha_warnings(photo, self._start_field))
            task_input = dataclasses.replace(task_input, start=photo.rgb, warnings=notes)
        return task_input

    def read_style(self) -> StyleReading:
        """The style pictures, decoded, and what was corrected in them.

        Raises:
            InvalidRequestError: one is damaged; the error names the field.
        """
        return decode_style(
            self.message.conditioning, max_pixels=self.max_pixels, resample=self.resample, decode=self.decoder.photo
        )

    def _holders(self) -> list[tuple[str, Any]]:
        """The path and the message of each of the task's pictures; its own message holds the first one."""
        if not self.task.picture:
            return []
        own = getattr(self.message, self.task.name)
        more = getattr(own, self.task.more) if self.task.more else ()
        others = ((f"{self.task.name}.{self.task.more}[{index}]", each) for index, each in enumerate(more))
        return [(self.task.name, own), *others]

    def _start(self) -> bytes:
        """The picture that noise starts from, encoded; empty if there is none."""
        return getattr(getattr(self.message, self.task.name), self.task.start) if self.task.start else b""

    @property
    def _start_field(self) -> str:
        return f"{self.task.name}.{self.task.start}"

    def _picture(self, message: Any) -> bytes:
        data: bytes = getattr(message, self.task.picture)
        return data

    def _decoded(self, path: str, message: Any) -> tuple[MaskedPicture, tuple[RequestWarning, ...]]:
        """A picture and its mask, and what was corrected in them."""
        field = f"{path}.{self.task.picture}"
        photo = self.decoder.photo(self._picture(message), max_pixels=self.max_pixels, field=field)
        if self.task.mask is MaskNeed.NONE:
            picture, unused = photo.rgb, alpha_warnings(photo, field)
            if self.task.keeps_alpha:
                picture, unused = with_alpha(photo, FORMATS[self.message.delivery.format], field)
            return MaskedPicture(path, picture, None, MaskSource.REQUEST), (*photo.warnings, *unused)
        matte = self.decoder.mask(message.mask, photo, max_pixels=self.max_pixels, task=path, picture=self.task.picture)
        check_segmentable(matte.values, self.pipeline, f"{path}.mask")
        unused = () if self.task.mask is MaskNeed.SEGMENTED else alpha_warnings(photo, field)
        notes = (*photo.warnings, *unused, *matte.warnings, *self.task.mask_warnings(matte, path))
        return MaskedPicture(path, photo.rgb, matte.values, matte.source), notes

"""A task's pictures to a frame: which pixels are known, and which are to be made. One function for each task."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backdrop.contract.geometry import Rect, Size, bounding_box, place
from backdrop.contract.masks import check_erased, read_grow, widened
from backdrop.contract.pictures import Photo, decode_mask, decode_photo
from backdrop.contract.read import check_box, read_placement
from backdrop.contract.write import box_message
from backdrop.errors import Reason, error
from backdrop.v1 import generation_service_pb2 as pb

Bytes: TypeAlias = NDArray[np.uint8]


@dataclasses.dataclass(frozen=True, eq=False)
class Frame:
    """A canvas at the delivery size."""

    known: Bytes
    """[H, W, 3]: the colours of the known pixels."""
    make: Bytes
    """[H, W]: 255 = to be made, 0 = known, between = soft edge."""
    receipt: pb.PreservationReceipt | None
    """What is known of the receipt before the picture is made; None where the task keeps no pixels."""

    @property
    def size(self) -> Size:
        """The delivery size."""
        return Size(self.make.shape[1], self.make.shape[0])


def background(message: pb.BackgroundTask, size: Size | None, scene_size: Size, max_pixels: int) -> Frame:
    """The product's cut-out where the placement puts it."""
    photo = decode_photo(message.product, max_pixels=max_pixels, field="background.product")
    mask, source, field = _product_mask(message, photo, max_pixels)
    path = "background.placement"
    placement = read_placement(path, message.placement, size=size, is_set=message.HasField("placement"))
    canvas = size or Size(photo.rgb.shape[1], photo.rgb.shape[0])
    check_box(path, placement, canvas)
    cutout = bounding_box(mask)
    if cutout is None:
        raise error(Reason.INVALID_MASK, f"{field}: the mask is empty; mark the product with 255.", field=field)
    box = place(cutout, canvas, placement)
    known, alpha = _paste(np.dstack([photo.rgb, mask]), cutout, canvas, box)
    if (alpha == 255).all():
        at_fault = path if placement else field
        raise error(Reason.INVALID_MASK, f"{at_fault}: the product leaves no room for a scene.", field=at_fault)
    unscaled = (box.width, box.height) == (cutout.width, cutout.height)
    receipt = pb.PreservationReceipt(mask_source=source, known_box=box_message(box), unscaled=unscaled)
    return Frame(known, np.invert(alpha), receipt)


def text_to_image(message: pb.TextToImageTask, size: Size | None, scene_size: Size, max_pixels: int) -> Frame:
    """An empty canvas."""
    height, width = (size or scene_size).height, (size or scene_size).width
    return Frame(np.zeros((height, width, 3), np.uint8), np.full((height, width), 255, np.uint8), None)


def erase(message: pb.EraseTask, size: Size | None, scene_size: Size, max_pixels: int) -> Frame:
    """The whole picture, except under the widened mask."""
    photo = decode_photo(message.picture, max_pixels=max_pixels, field="erase.picture")
    mask = decode_mask(message.mask, max_pixels=max_pixels, field="erase.mask")
    _check_size(mask, photo, "erase.mask")
    grow = read_grow(message)
    check_erased(mask, grow)
    box = Rect(0, 0, photo.rgb.shape[1], photo.rgb.shape[0])
    source = pb.MASK_SOURCE_REQUEST
    receipt = pb.PreservationReceipt(mask_source=source, known_box=box_message(box), unscaled=True)
    return Frame(photo.rgb, widened(mask, grow), receipt)


def make_frame(request: pb.GenerateRequest, size: Size | None, scene_size: Size, max_pixels: int) -> Frame:
    """The frame of a request; `scene_size` is the size where neither the request nor a picture has one.

    Raises:
        InvalidRequestError: a picture, mask or placement is wrong; the error names the field.
    """
    name = request.WhichOneof("task")
    tasks: dict[str | None, Any] = {"background": background, "text_to_image": text_to_image, "erase": erase}
    frame: Frame = tasks[name](getattr(request, str(name)), size, scene_size, max_pixels)
    return frame


def _product_mask(message: pb.BackgroundTask, photo: Photo, max_pixels: int) -> tuple[Bytes, pb.MaskSource, str]:
    """The mask, where it comes from, and the field that errors about it name."""
    if message.mask:
        mask = decode_mask(message.mask, max_pixels=max_pixels, field="background.mask")
        _check_size(mask, photo, "background.mask")
        return mask, pb.MASK_SOURCE_REQUEST, "background.mask"
    if photo.alpha is not None:
        return photo.alpha, pb.MASK_SOURCE_ALPHA, "background.product"
    return _segment(photo.rgb), pb.MASK_SOURCE_SEGMENTER, "background.product"


def _check_size(mask: Bytes, photo: Photo, field: str) -> None:
    if mask.shape != photo.rgb.shape[:2]:
        raise error(Reason.INVALID_MASK, f"{field} must have exactly the picture's size.", field=field)


def _segment(rgb: Bytes) -> Bytes:
    """A mask of the middle ellipse: there is no segmenter here."""
    height, width = rgb.shape[:2]
    y, x = np.mgrid[:height, :width]
    inside = ((x + 0.5) / width - 0.5) ** 2 + ((y + 0.5) / height - 0.5) ** 2 < 0.1
    return np.where(inside, 255, 0).astype(np.uint8)


def _paste(rgba: Bytes, cutout: Rect, size: Size, box: Rect) -> tuple[Bytes, Bytes]:
    """Puts the cut-out at `box` of an empty canvas: its colours and alpha. At its own size it is copied."""
    part = rgba[cutout.y : cutout.y + cutout.height, cutout.x : cutout.x + cutout.width]
    if (box.width, box.height) != (cutout.width, cutout.height):
        image = Image.fromarray(part).resize((box.width, box.height), Image.Resampling.LANCZOS)
        part = np.asarray(image)
    canvas = np.zeros((size.height, size.width, 4), np.uint8)
    canvas[box.y : box.y + box.height, box.x : box.x + box.width] = part
    return np.ascontiguousarray(canvas[..., :3]), np.ascontiguousarray(canvas[..., 3])

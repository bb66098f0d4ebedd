"""A task's pictures to a canvas: which pixels are known, and which are to be made."""

from __future__ import annotations

import numpy as np

from backdrop.contract.arrays import Bytes
from backdrop.contract.canvas import Canvas, blank, remade
from backdrop.contract.erasing import hole_around, read_grow
from backdrop.contract.expansion import expanded_canvas, expanded_size, read_extent
from backdrop.contract.geometry import Size
from backdrop.contract.layouts import read_layouts
from backdrop.contract.masks import Matte, check_marks, check_segmentable, hole_canvas, read_mask
from backdrop.contract.parts import Delivery, OutputFormat
from backdrop.contract.pictures import Photo, alpha_warnings, decode_photo
from backdrop.contract.products import (
    Product,
    check_photos,
    check_product,
    inverted_warnings,
    on_scene,
    products_of,
    read_placements,
)
from backdrop.contract.relighting import read_relight, relit_canvas
from backdrop.contract.request_warnings import RequestWarning
from backdrop.contract.shadows import read_shadow, shadowed_canvas
from backdrop.contract.softness import place_soft, read_soft, soften
from backdrop.contract.upscaling import read_factor, upscaled_canvas, upscaled_size, with_alpha
from backdrop.v1 import generation_service_pb2 as pb
from backdrop.v1 import info_service_pb2 as info_pb

Reading = tuple[Canvas, tuple[RequestWarning, ...]]
"""A canvas, and what was corrected in the pictures that it comes from."""
Layouts = tuple[tuple[Canvas, ...], tuple[RequestWarning, ...]]
"""The same with a canvas for each layout of the request."""


def make_canvases(
    request: pb.GenerateRequest, pipeline: info_pb.Pipeline, delivery: Delivery, limits: info_pb.Limits
) -> Layouts:
    """The canvas of each layout of a valid request.

    Raises:
        InvalidRequestError: a picture, mask or placement is wrong; the error names the field.
    """
    if request.HasField("background"):
        return _background(request.background, pipeline, delivery.size, limits)
    canvas, notes = make_canvas(request, pipeline, delivery, limits.max_pixels)
    return (canvas,), notes


def make_canvas(
    request: pb.GenerateRequest, pipeline: info_pb.Pipeline, delivery: Delivery, max_pixels: int
) -> Reading:
    """The canvas of a valid request for another task than background.

    Raises:
        InvalidRequestError: a picture, mask or placement is wrong; the error names the field.
    """
    size = delivery.size
    if request.HasField("erase"):
        return _erase(request.erase, max_pixels)
    if request.HasField("fill"):
        return _fill(request.fill, max_pixels)
    if request.HasField("shadow"):
        return _shadow(request.shadow, pipeline, max_pixels)
    if request.HasField("relight"):
        return _relight(request.relight, pipeline, max_pixels)
    if request.HasField("upscale"):
        return _upscale(request.upscale, delivery.format, max_pixels)
    if request.HasField("expand"):
        return _expand(request.expand, size, max_pixels)
    if request.HasField("vary"):
        photo = decode_photo(request.vary.picture, max_pixels=max_pixels, field="vary.picture")
        return remade(photo.rgb), (*photo.warnings, *alpha_warnings(photo, "vary.picture"))
    first = pipeline.scene_sizes[0]
    return blank(size or Size(first.width, first.height)), ()


def _background(
    message: pb.BackgroundTask, pipeline: info_pb.Pipeline, size: Size | None, limits: info_pb.Limits
) -> Layouts:
    """The products' cut-outs where each layout puts them."""
    placements, soft, products, photos = read_placements(message, size), read_soft(message), [], []
    max_pixels, notes = limits.max_pixels, list[RequestWarning]()
    for path, each in products_of(message):
        photo = decode_photo(each.product, max_pixels=max_pixels, field=f"{path}.product")
        matte = read_mask(each.mask, photo, max_pixels=max_pixels, task=path, picture="product")
        mask = _segmented(photo, matte, pipeline, path)
        check_product(path, matte.values, matte.source, alone=placements == (None,) and not message.layouts)
        products.append(Product(path, photo.rgb, mask, matte.source))
        photos.append(photo.size)
        notes += [*photo.warnings, *matte.warnings, *inverted_warnings(matte, path)]
    check_photos(photos, max_pixels)
    layouts, scene = read_layouts(message, size, photos[0], limits), None
    if message.scene:
        photo = decode_photo(message.scene, max_pixels=max_pixels, field="background.scene")
        notes += [*photo.warnings, *alpha_warnings(photo, "background.scene")]
        scene = photo.rgb
    strength = message.scene_strength if message.HasField("scene_strength") else None
    products = soften(products, soft)
    canvases = (place_soft(products, layout.placements, layout.size, soft) for layout in layouts)
    return tuple(on_scene(canvas, scene, strength) for canvas in canvases), tuple(notes)


def _erase(message: pb.EraseTask, max_pixels: int) -> Reading:
    """The whole picture, except under the widened mask."""
    photo, matte = _marked(message, "erase", max_pixels)
    assert matte.values is not None, "the task requires a mask"
    grow = read_grow(message)
    check_marks(matte.values, "erase.mask")
    canvas = hole_canvas(photo.rgb, hole_around(matte.values, grow), "erase.mask")
    return canvas, (*photo.warnings, *alpha_warnings(photo, "erase.picture"), *matte.warnings)


def _fill(message: pb.FillTask, max_pixels: int) -> Reading:
    """The whole picture, except under the mask."""
    photo, matte = _marked(message, "fill", max_pixels)
    assert matte.values is not None, "the task requires a mask"
    check_marks(matte.values, "fill.mask")
    canvas = hole_canvas(photo.rgb, matte.values, "fill.mask")
    return canvas, (*photo.warnings, *alpha_warnings(photo, "fill.picture"), *matte.warnings)


def _expand(message: pb.ExpandTask, size: Size | None, max_pixels: int) -> Reading:
    """The picture where it lies in the larger one."""
    extent = read_extent(message, size)
    photo = decode_photo(message.picture, max_pixels=max_pixels, field="expand.picture")
    expanded_size(extent, photo.size, max_pixels)
    return expanded_canvas(photo.rgb, extent), (*photo.warnings, *alpha_warnings(photo, "expand.picture"))


def _shadow(message: pb.ShadowTask, pipeline: info_pb.Pipeline, max_pixels: int) -> Reading:
    """The picture, and the same picture under a shadow as its scene."""
    shadow = read_shadow(message)
    photo, matte = _marked(message, "shadow", max_pixels)
    mask = _segmented(photo, matte, pipeline, "shadow")
    return shadowed_canvas(photo.rgb, mask, matte.source, shadow), (*photo.warnings, *matte.warnings)


def _relight(message: pb.RelightTask, pipeline: info_pb.Pipeline, max_pixels: int) -> Reading:
    """The picture, whose product may change in its band."""
    relight = read_relight(message)
    photo, matte = _marked(message, "relight", max_pixels)
    mask = _segmented(photo, matte, pipeline, "relight")
    return relit_canvas(photo.rgb, mask, matte.source, relight), (*photo.warnings, *matte.warnings)


def _upscale(message: pb.UpscaleTask, output_format: OutputFormat, max_pixels: int) -> Reading:
    """The picture, to be enlarged."""
    factor = read_factor(message)
    photo = decode_photo(message.picture, max_pixels=max_pixels, field="upscale.picture")
    upscaled_size(factor, photo.size, max_pixels)
    picture, notes = with_alpha(photo, output_format, "upscale.picture")
    return upscaled_canvas(picture, factor), (*photo.warnings, *notes)


def _marked(
    message: pb.EraseTask | pb.FillTask | pb.ShadowTask | pb.RelightTask, task: str, max_pixels: int
) -> tuple[Photo, Matte]:
    """The picture of a task, and what its mask says."""
    photo = decode_photo(message.picture, max_pixels=max_pixels, field=f"{task}.picture")
    return photo, read_mask(message.mask, photo, max_pixels=max_pixels, task=task, picture="picture")


def _segmented(photo: Photo, matte: Matte, pipeline: info_pb.Pipeline, path: str) -> Bytes:
    """The mask that was sent, or the segmenter's."""
    check_segmentable(matte.values, pipeline, f"{path}.mask")
    return _segment(photo.rgb) if matte.values is None else matte.values


def _segment(rgb: Bytes) -> Bytes:
    """A mask of the middle ellipse: there is no segmenter here."""
    height, width = rgb.shape[:2]
    y, x = np.mgrid[:height, :width]
    inside = ((x + 0.5) / width - 0.5) ** 2 + ((y + 0.5) / height - 0.5) ** 2 < 0.1
    return np.where(inside, 255, 0).astype(np.uint8)

"""Products on a canvas: which masks and boxes are refused, and which pixels are known."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

from backdrop.contract.arrays import Bytes
from backdrop.contract.canvas import Canvas, Kept, KeptPart, MaskSource
from backdrop.contract.cutouts import cover, cut, lay_over, region
from backdrop.contract.geometry import Fit, Rect, Side, Size, bounding_box, enclosing, place, room_of
from backdrop.contract.limits import MAX_PRODUCTS, MIN_PLACED
from backdrop.contract.masks import Matte
from backdrop.contract.placement import Placement, check_box, read_placement
from backdrop.contract.request_warnings import RequestWarning, WarningReason, warning
from backdrop.errors import BackdropError, Reason, error
from backdrop.v1 import generation_service_pb2 as pb

FIRST = "background"
"""The path of the first product; the others' are `background.more_products[0]` and so on."""
_MARKED = 128
"""Of a mask: fainter pixels at a photo's edge do not say that the product goes on beyond it."""


@dataclasses.dataclass(frozen=True, eq=False)
class Product:
    """A photo [H, W, 3] and the mask [H, W] that cuts the product out of it."""

    field: str
    """The path of the message that it comes from."""
    picture: Bytes
    mask: Bytes
    mask_source: MaskSource
    sent: Bytes | None = None
    """The mask as it was sent, if it was mended."""

    @property
    def outline(self) -> Bytes:
        """What its placement counts for: [H, W], everything that it holds with either mask."""
        return self.mask if self.sent is None else np.maximum(self.mask, self.sent)


def products_of(message: pb.BackgroundTask) -> list[tuple[str, pb.BackgroundTask | pb.Product]]:
    """The path of each product and the message that holds its photo, mask and placement, the rearmost first."""
    return [(FIRST, message), *((f"{FIRST}.more_products[{i}]", each) for i, each in enumerate(message.more_products))]


def read_placements(message: pb.BackgroundTask, size: Size | None) -> tuple[Placement, ...]:
    """The placement of each product at the delivery size.

    Raises:
        InvalidRequestError: there are too many products, one has no photo, an alignment is unknown, the padding is out
            of range, or a product besides the first one has no placement though the delivery has a size.
    """
    products = products_of(message)
    if len(products) > MAX_PRODUCTS:
        field = f"{FIRST}.more_products"
        text = f"{field}: the scene has {len(products)} products; at most {MAX_PRODUCTS} are taken."
        raise error(Reason.OUT_OF_RANGE, text, field=field)
    return tuple(_placement(path, each, size) for path, each in products)


def _placement(path: str, message: pb.BackgroundTask | pb.Product, size: Size | None) -> Placement:
    if not message.product:
        raise error(Reason.MISSING_FIELD, f"{path}.product holds no photo; send one.", field=f"{path}.product")
    field, is_set = f"{path}.placement", message.HasField("placement")
    if path != FIRST and size is not None and not is_set:
        raise _unplaced(field)
    return read_placement(field, message.placement, size=size, is_set=is_set)


def check_photos(sizes: Iterable[Size], max_pixels: int) -> None:
    """Raises InvalidRequestError when the photos of several products are together larger than one may be."""
    pixels = [size.pixels for size in sizes]
    if len(pixels) > 1 and sum(pixels) > max_pixels:
        field = f"{FIRST}.more_products"
        text = (
            f"{field}: the photos have {sum(pixels) / 1e6:.1f} megapixels together; {max_pixels / 1e6:g} are allowed."
            " Send smaller ones."
        )
        raise error(Reason.PICTURE_TOO_LARGE, text, field=field)


def check_boxes(placements: Sequence[Placement], size: Size, first: str = FIRST) -> None:
    """Raises InvalidRequestError when an explicit box does not lie inside the picture.

    `first`: the path of the message that holds the first placement.
    """
    for index, placement in enumerate(placements):
        check_box(f"{_path(index) if index else first}.placement", placement, size)


def check_product(path: str, mask: Bytes | None, source: MaskSource, *, alone: bool) -> None:
    """Checks what is known before the segmenter runs: `mask` is None where the segmenter will make it.

    `alone`: it is the only product, and it stays where it is.

    Raises:
        InvalidRequestError: the mask marks no product, nothing that could be kept exactly, or leaves no room for a
            scene.
    """
    if mask is None:
        return
    field = f"{path}.mask" if source is MaskSource.REQUEST else f"{path}.product"
    if not mask.any():
        message = f"{field}: the mask marks no product; 255 means product, 0 scene."
        raise error(Reason.INVALID_MASK, message, field=field)
    if mask.max() < 255:
        message = (
            f"{field}: no pixel of the mask is certain (255), its largest value is {mask.max()}; nothing could be kept"
            " exactly. Scale the mask so that the product's inside is 255."
        )
        raise error(Reason.INVALID_MASK, message, field=field)
    if alone and (mask == 255).all():
        message = f"{field}: the mask covers the whole photo; there is no scene to make. Set a placement or size."
        raise error(Reason.INVALID_MASK, message, field=field)


def inverted_warnings(matte: Matte, path: str = FIRST) -> tuple[RequestWarning, ...]:
    """A warning if a sent mask marks all corners and most of the photo, as masks of the scene do."""
    mask = matte.values
    if mask is None or matte.source is not MaskSource.REQUEST:
        return ()
    if mask.min() == 255 or mask.mean() < 128 or mask[[0, 0, -1, -1], [0, -1, 0, -1]].min() < 128:
        return ()
    what = "marks all corners and most of the photo as product (255); send the inverse if it marks the scene"
    return (warning(WarningReason.MASK_MAYBE_INVERTED, f"{path}.mask", what),)


def on_scene(canvas: Canvas, scene: Bytes | None, strength: float | None) -> Canvas:
    """The canvas, whose noise starts from the picture [H, W, 3] of a place, if there is one.

    At strength 0 no step is taken, and what is made is the place itself.
    """
    if scene is None:
        return canvas
    place_picture = cover(scene, canvas.size)
    return dataclasses.replace(canvas, start=place_picture, scene=place_picture if strength == 0 else None)


def place_products(products: Sequence[Product], placements: Sequence[Placement], size: Size) -> Canvas:
    """A canvas of `size` on which the products are known, the first one the rearmost.

    Raises:
        InvalidRequestError: the products fill the whole canvas, one of them cannot be seen, or one that is not placed
            has a photo of another size than the canvas.
    """
    known, alpha = np.zeros((size.height, size.width, 3), np.uint8), np.zeros((size.height, size.width), np.uint8)
    owners = np.zeros(alpha.shape, np.uint8)  # a bit for each product that a pixel shows
    boxes = []
    for index, (product, placement) in enumerate(zip(products, placements, strict=True)):
        outline = product.outline
        cutout = bounding_box(outline)
        assert cutout is not None, "empty masks are refused"
        if placement is None and product.mask.shape != alpha.shape:
            raise _unplaced(f"{product.field}.placement")
        box = place(cutout, size, placement, cut_sides(outline))
        _check_inside(product.field, box, placement, size)
        if max(box.width, box.height) < min(MIN_PLACED, max(cutout.width, cutout.height)):
            raise _too_small(product.field, box)
        colours, opacity = cut(product.picture, product.mask, cutout, box)
        if index:
            lay_over(known, alpha, box, colours, opacity)
        else:
            known[region(box)], alpha[region(box)] = colours, opacity
        shown = owners[region(box)]
        shown[opacity == 255] = 0
        shown[opacity > 0] |= 1 << index
        boxes.append((box, (box.width, box.height) == (cutout.width, cutout.height)))
    parts = []
    for index, (product, (box, unscaled)) in enumerate(zip(products, boxes, strict=True)):
        shown = owners[region(box)]
        if not (shown & 1 << index).any():
            raise _unseen(product.field)
        visible = np.count_nonzero((shown == 1 << index) & (alpha[region(box)] == 255))
        parts.append(KeptPart(box, unscaled, product.mask_source, visible))
    del owners
    placed = any(placement is not None for placement in placements)
    if (alpha == 255).all():
        message = "the product fills the whole picture; there is no scene to make. Give it padding or a smaller box."
        raise error(Reason.INVALID_MASK, message, field=f"{FIRST}.{'placement' if placed else 'mask'}")
    if len(products) == 1 and not placed:
        # A denoiser that does not see known pixels has latents of the whole photo blended in.
        known = products[0].picture
    union = enclosing([box for box, _ in boxes])
    kept = Kept(union, all(part.unscaled for part in parts), products[0].mask_source, tuple(parts))
    return Canvas(known, np.invert(alpha), kept)


def cut_sides(mask: Bytes) -> frozenset[Side]:
    """The sides on which the photo's edge cuts a product off: where its mask [H, W] marks pixels at that edge.

    A product that touches all four edges was trimmed to its outline; then none of them cuts it off.
    """
    edges = {Side.LEFT: mask[:, 0], Side.TOP: mask[0], Side.RIGHT: mask[:, -1], Side.BOTTOM: mask[-1]}
    if all(edge.any() for edge in edges.values()):
        return frozenset()
    return frozenset(side for side, edge in edges.items() if edge.max() >= _MARKED)


def _check_inside(path: str, box: Rect, placement: Placement, size: Size) -> None:
    """Raises InvalidRequestError when a product that keeps its size is larger than its area."""
    if not isinstance(placement, Fit) or not placement.keep_size:
        return
    area = room_of(placement, size)
    if area.x <= box.x and area.y <= box.y and enclosing([area, box]) == area:
        return
    field = f"{path}.placement.fit.keep_size"
    text = (
        f"{field}: the product is {box.width}×{box.height} and its place {area.width}×{area.height}; leave {field} out,"
        " or give it a larger delivery.size."
    )
    raise error(Reason.INVALID_PLACEMENT, text, field=field)


def _path(index: int) -> str:
    return f"{FIRST}.more_products[{index - 1}]" if index else FIRST


def _unplaced(field: str) -> BackdropError:
    text = f"{field} does not say where the product stands, and its photo has not the picture's size; set {field}."
    return error(Reason.MISSING_FIELD, text, field=field)


def _unseen(path: str) -> BackdropError:
    text = f"{path}: others cover the whole product; place it elsewhere, or put it after them."
    return error(Reason.INVALID_PLACEMENT, text, field=f"{path}.placement")


def _too_small(path: str, box: Rect) -> BackdropError:
    field = f"{path}.placement"
    text = f"{field} leaves the product {box.width}×{box.height} pixels; the longer side needs {MIN_PLACED}."
    return error(Reason.INVALID_PLACEMENT, text, field=field)

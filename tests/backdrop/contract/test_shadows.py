"""Shadows: where they lie, what each field changes, and what they never touch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from backdrop.contract.arrays import Bytes
from backdrop.contract.canvas import MaskSource
from backdrop.contract.geometry import bounding_box
from backdrop.contract.shadows import Shadow, ShadowKind, darkness, read_shadow, shadowed_canvas
from backdrop.errors import InvalidRequestError, Reason
from backdrop.v1 import generation_service_pb2 as pb
from tests.pictures import ellipse_mask, noisy_photo

WIDTH, HEIGHT = 200, 160
FOOT = 120
PHOTO = noisy_photo(WIDTH, HEIGHT)


def block() -> Bytes:
    """The mask of a block that stands on the ground, 40 × 60 pixels."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[60:FOOT, 80:120] = 255
    return mask


def layer(**fields: Any) -> Bytes:
    box = bounding_box(block())
    assert box is not None
    return darkness(block(), box, Shadow(**fields))


def centre(shadow: Bytes) -> tuple[float, float]:
    """The middle of a shadow, x and y."""
    weight = shadow.astype(float)
    rows, columns = np.indices(weight.shape)
    return float((weight * columns).sum() / weight.sum()), float((weight * rows).sum() / weight.sum())


def test_a_contact_shadow_is_darkest_where_the_product_stands() -> None:
    shadow = layer()
    row, column = np.unravel_index(int(shadow.argmax()), shadow.shape)
    assert abs(int(row) - FOOT) <= 2
    assert 80 <= int(column) < 120
    assert shadow[FOOT + 2, 100] > shadow[FOOT + 2, 60] > shadow[FOOT + 2, 10]
    assert shadow[20].max() == 0


@pytest.mark.parametrize("kind", ShadowKind)
def test_it_falls_where_the_direction_says(kind: ShadowKind) -> None:
    right, left = centre(layer(kind=kind, direction=0.0)), centre(layer(kind=kind, direction=180.0))
    near, far = centre(layer(kind=kind, direction=90.0)), centre(layer(kind=kind, direction=270.0))
    assert right[0] > 100 > left[0]
    assert near[1] > far[1]
    assert centre(layer(kind=kind, direction=-90.0)) == pytest.approx(far)


def test_a_cast_shadow_shows_the_outline_and_is_as_long_as_said() -> None:
    for length in (0.5, 1.0):
        shadow = layer(kind=ShadowKind.CAST, direction=0.0, softness=0.0, length=length)
        reach = int(np.flatnonzero(shadow.max(axis=0) > 20)[-1])
        assert reach == pytest.approx(120 + 60 * length, abs=8)
    assert layer(kind=ShadowKind.CAST).sum() > layer().sum()


def test_intensity_is_how_dark_and_softness_how_far_it_spreads() -> None:
    assert layer(intensity=0.0).max() == 0
    assert layer(intensity=0.2).max() < layer(intensity=0.6).max()
    sharp, soft = layer(softness=0.1), layer(softness=0.9)
    assert (sharp > 8).sum() < (soft > 8).sum()


@pytest.mark.parametrize("kind", ShadowKind)
@pytest.mark.parametrize("soft", [False, True])
def test_the_product_and_what_the_shadow_does_not_reach_are_known(kind: ShadowKind, soft: bool) -> None:
    mask = ellipse_mask(WIDTH, HEIGHT, soft=soft)
    canvas = shadowed_canvas(PHOTO, mask, MaskSource.REQUEST, Shadow(kind))
    assert canvas.scene is not None
    assert not canvas.make[mask == 255].any()
    edge = (mask > 0) & (mask < 255) & (canvas.make > 0)
    assert (canvas.make[edge] == 255 - mask[edge]).all()
    assert edge.any() == soft
    assert (canvas.scene <= PHOTO).all()
    assert (canvas.scene[canvas.make > 0] < PHOTO[canvas.make > 0]).any()


def test_a_mask_without_a_product_is_refused() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        shadowed_canvas(PHOTO, np.zeros((HEIGHT, WIDTH), np.uint8), MaskSource.REQUEST, Shadow())
    assert (caught.value.reason, caught.value.field) == (Reason.INVALID_MASK, "shadow.mask")


def test_its_fields_are_read_with_their_defaults() -> None:
    assert read_shadow(pb.ShadowTask()) == Shadow()
    message = pb.ShadowTask(kind=pb.SHADOW_KIND_CAST, direction=-45, softness=0, intensity=1, length=2)
    assert read_shadow(message) == Shadow(ShadowKind.CAST, -45.0, 0.0, 1.0, 2.0)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"kind": 9}, Reason.UNKNOWN_VALUE),
        ({"direction": 361.0}, Reason.OUT_OF_RANGE),
        ({"softness": -0.1}, Reason.OUT_OF_RANGE),
        ({"intensity": 1.5}, Reason.OUT_OF_RANGE),
        ({"length": float("nan")}, Reason.OUT_OF_RANGE),
    ],
)
def test_values_out_of_range_are_refused(fields: dict[str, Any], reason: Reason) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read_shadow(pb.ShadowTask(**fields))
    assert (caught.value.reason, caught.value.field) == (reason, f"shadow.{next(iter(fields))}")

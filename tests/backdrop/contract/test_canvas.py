"""The canvas: what a blank one is, and where masks come from."""

from __future__ import annotations

from backdrop.contract.canvas import MaskSource, blank
from backdrop.contract.geometry import Size
from backdrop.v1 import generation_service_pb2 as pb


def test_of_a_blank_canvas_everything_is_made() -> None:
    canvas = blank(Size(5, 7))
    known, make = canvas.known, canvas.make
    assert (canvas.size, canvas.kept) == (Size(5, 7), None)
    assert (known.shape, make.shape) == ((7, 5, 3), (7, 5))
    assert (make == 255).all()
    assert not known.any()


def test_sources_of_masks_are_the_contracts() -> None:
    assert {f"MASK_SOURCE_{source.name}": int(source) for source in MaskSource} == {
        name: value for name, value in pb.MaskSource.items() if value
    }

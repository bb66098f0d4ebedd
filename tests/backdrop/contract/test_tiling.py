"""Tilings: which canvases are worked on in tiles, and that cutting and merging lose nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backdrop.contract.geometry import Size, nearest_bucket
from backdrop.contract.limits import MAX_SIDE, MIN_SIDE
from backdrop.contract.tiling import MAX_TILES, Tiling, largest_scene, tiling_of

BUCKETS = (Size(256, 256), Size(256, 192), Size(192, 256))
sides = st.integers(MIN_SIDE, MAX_SIDE)
sizes = st.builds(Size, sides, sides)


@pytest.mark.parametrize(
    ("canvas", "scene", "starts"),
    [
        (Size(1920, 1080), Size(256, 192), (0,)),
        (Size(1000, 500), Size(256, 192), (0,)),  # 1.5 times as long as the bucket, which is the limit
        (Size(1002, 500), Size(416, 192), (0, 64, 160)),
        (Size(2000, 500), Size(768, 192), (0, 128, 256, 384, 512)),
        (Size(500, 2000), Size(192, 768), (0, 128, 256, 384, 512)),
        (Size(728, 90), Size(1152, 192), tuple(range(0, 1024, 128))),
        (Size(4096, 64), Size(1152, 192), tuple(range(0, 1024, 128))),
    ],
)
def test_shapes_that_no_bucket_comes_near_have_tiles(canvas: Size, scene: Size, starts: tuple[int, ...]) -> None:
    tile = nearest_bucket(canvas, BUCKETS)
    assert tiling_of(canvas, BUCKETS) == Tiling(scene, tile, starts)


@settings(deadline=None)
@given(size=sizes)
def test_tiles_cover_the_scene_and_overlap_by_half(size: Size) -> None:
    tiling = tiling_of(size, BUCKETS)
    scene, tile = tiling.scene, tiling.tile
    assert tile in BUCKETS
    assert 1 <= tiling.count <= MAX_TILES
    assert scene.width == tile.width or scene.height == tile.height, "longer in one direction alone"
    length, extent = max((tile.width, scene.width), (tile.height, scene.height), key=lambda pair: pair[1] - pair[0])
    gaps = np.diff(tiling.starts)
    assert tiling.starts[0] == 0
    assert tiling.starts[-1] + length == extent
    assert all(0 < gap <= length // 2 and gap % 32 == 0 for gap in gaps)
    # No scene shows much more than its canvas, unless the canvas is longer than the longest scene.
    shown = max(scene.width / size.width, scene.height / size.height)
    used = min(scene.width / size.width, scene.height / size.height)
    assert shown / used <= 1.51 or tiling.count == MAX_TILES
    if 1 < tiling.count < MAX_TILES:
        assert extent - max(size.width, size.height) * min(tile.width, tile.height) / min(size.width, size.height) < 32


@pytest.mark.parametrize("size", [Size(100, 100), Size(700, 200), Size(200, 700), Size(4096, 64), Size(999, 333)])
@pytest.mark.parametrize("factor", [1, 8])
def test_merging_what_was_cut_gives_the_canvas(size: Size, factor: int) -> None:
    tiling = tiling_of(size, BUCKETS)
    shape = (4, tiling.scene.height // factor, tiling.scene.width // factor)
    canvas = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    tiles = tiling.cut(canvas)
    assert tiles.shape == (tiling.count, 4, tiling.tile.height // factor, tiling.tile.width // factor)
    merged = tiling.merge(tiles)
    assert merged.dtype == np.float32
    if tiling.count == 1:
        assert merged.tobytes() == canvas.tobytes(), "a scene of one tile is the tile, to the bit"
    np.testing.assert_allclose(merged, canvas, rtol=0, atol=1e-6)


def test_where_tiles_differ_their_mean_changes_smoothly_from_one_to_the_next() -> None:
    tiling = tiling_of(Size(800, 200), BUCKETS)
    levels = np.arange(tiling.count, dtype=np.float32)
    merged = tiling.merge(np.broadcast_to(levels[:, None, None, None], (tiling.count, 1, 24, 32)))
    assert np.ptp(merged, axis=1).max() == 0, "weights change along the scene alone"
    row = merged[0, 0]
    assert (row[0], row[-1]) == (0, tiling.count - 1)
    assert np.all(np.diff(row) >= -1e-6)
    # 16 latents lie between the beginnings of two tiles; the steepest step of sin² is π ÷ 32.
    assert np.abs(np.diff(row)).max() <= np.pi / 32


@given(size=sizes)
def test_no_canvas_has_a_larger_scene_than_the_largest(size: Size) -> None:
    assert tiling_of(size, BUCKETS).scene.pixels <= largest_scene(BUCKETS).pixels == 1152 * 192


def test_a_bucket_of_any_size_can_be_a_tile() -> None:
    tiling = tiling_of(Size(400, 100), [Size(72, 72)])
    assert tiling == Tiling(Size(72 + 7 * 32, 72), Size(72, 72), tuple(range(0, 8 * 32, 32)))

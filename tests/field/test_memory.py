"""Memory is a budget: what waits is encoded, what is worked on is bounded, and a pod's limit follows from settings."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from backdrop.contract.geometry import Size
from backdrop.contract.tiling import largest_scene
from orchestrator import footprint
from orchestrator.cache.lookups import RequestLookups
from orchestrator.footprint import MIB, WORK_BYTES, parts
from orchestrator.settings import Settings
from orchestrator.stages.frames import FrameSource, PixelMemory
from orchestrator.stages.prepare import prepare
from orchestrator.tasks import TaskInput
from tests.k8s.rendering import OVERLAYS, overlay, settings
from tests.k8s.test_promises import in_bytes, main_container, serving
from tests.orchestrator.small import DictCache, FunctionModels, Request, request
from tests.orchestrator.stages.running import models_of

pytestmark = pytest.mark.row("memory")
ROOT = Path(__file__).resolve().parents[2]
REFERENCE = largest_scene([Size(256, 256), Size(256, 192), Size(192, 256)])
"""The largest scene of the reference repository."""


class Counted:
    """A request whose pictures are read through a counter."""

    def __init__(self, memory: PixelMemory, **changes: Any) -> None:
        self.request: Request = request(**changes)
        self.reads = 0
        self.source = FrameSource(self.request.task, self._read, 1.0, memory)

    def _read(self) -> TaskInput:
        self.reads += 1
        return self.request.read_input()

    async def prepare(self) -> None:
        models, lookups = models_of(self.request, FunctionModels()), RequestLookups(DictCache())
        await prepare(self.source, self.request.parts.sampling, models, lookups)


async def test_a_frame_is_kept_while_there_is_room() -> None:
    one = Counted(PixelMemory(1.0))
    await one.prepare()
    for _ in range(3):
        async with one.source.open():
            pass
    assert one.reads == 1


async def test_a_frame_without_room_is_made_again_and_is_the_same() -> None:
    one = Counted(PixelMemory(1e-9))
    await one.prepare()
    frames = []
    for _ in range(2):
        async with one.source.open() as frame:
            frames.append(frame)
    assert one.reads == 3
    first, second = frames
    assert first is not second
    assert (first.known == second.known).all()
    assert (first.make == second.make).all()
    assert first.kept == second.kept


async def test_a_segmented_frame_is_made_again_with_the_same_mask() -> None:
    one, kept = Counted(PixelMemory(1e-9), mask=None), Counted(PixelMemory(1.0), mask=None)
    await asyncio.gather(one.prepare(), kept.prepare())
    async with one.source.open() as made_again, kept.source.open() as first:
        assert (made_again.make == first.make).all()
        assert made_again.kept == first.kept


async def test_the_frames_of_requests_that_are_over_are_given_up() -> None:
    memory = PixelMemory(1.0)
    one = Counted(memory)
    await one.prepare()
    assert memory.frames.size_bytes
    one.source.close()
    assert memory.frames.size_bytes == 0
    assert memory.budget.held == 0


# What one picture of 4 megapixels takes, from its bytes to the finished bytes, in a process of its own.
WORK = """
    import io, sys
    import numpy as np
    from PIL import Image
    from backdrop.contract.canvas import MaskSource
    from backdrop.contract.finishing import composite, encode
    from backdrop.contract.geometry import Fit, Size
    from backdrop.contract.masks import read_mask
    from backdrop.contract.parts import OutputFormat
    from backdrop.contract.pictures import decode_photo
    from backdrop.contract.products import FIRST, Product, place_products
    from backdrop.contract.receipts import receipt
    from orchestrator import allocator
    from orchestrator.imaging.finish import enlarge
    from orchestrator.imaging.frame import frame_of
    from orchestrator.imaging.view import view_of

    allocator.tune()
    width, height = 2048, 1953
    rows, columns = np.ogrid[0:height, 0:width]
    picture = np.zeros((height, width, 4), np.uint8)
    picture[((rows / height - 0.5) ** 2 + (columns / width - 0.5) ** 2) < 0.06] = (200, 100, 50, 255)
    data = io.BytesIO()
    Image.fromarray(picture).save(data, "PNG", compress_level=1)
    del picture
    buckets = [Size(256, 256)]

    def memory(name):
        lines = open("/proc/self/status").read().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))

    def frame(fit):
        photo = decode_photo(data.getvalue(), max_pixels=16_000_000, field="background.product")
        size = Size(2000, 2000) if fit else photo.size
        known, kept = photo.rgb, photo.alpha
        del photo
        return frame_of(place_products([Product(FIRST, known, kept, MaskSource.ALPHA)], (fit,), size), buckets)

    def finish(canvas):
        scene = np.random.default_rng(0).integers(0, 255, (256, 256, 3), np.uint8)
        return receipt(encode(composite(enlarge(scene, canvas), canvas), OutputFormat.JPEG), canvas)

    for fit in (None, Fit(0.1)):
        open("/proc/self/clear_refs", "w").write("5")
        before = memory("VmRSS")
        canvas = frame(fit)
        view_of(canvas, 8)
        assert finish(canvas).max_difference < 256
        print((memory("VmHWM") - before) / 4e6, (memory("VmRSS") - before) / 4e6)
        del canvas
"""


@pytest.mark.promise("memory")
def test_a_large_picture_takes_no_more_than_its_part_of_the_budget() -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(WORK)],
        cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        peak, after = map(float, line.split())
        # The strips and the other memory of a thread weigh more in a small picture.
        assert peak < WORK_BYTES + 2, line
        assert after < 6, "what is freed goes back; the frame itself is 4"


def test_every_large_setting_is_in_the_sum() -> None:
    """A setting of bytes, pixels or requests that can grow must make the sum grow."""

    def total(**changes: Any) -> int:
        return sum(parts(Settings(triton_endpoints="t:1", repository=Path(), **changes), REFERENCE).values())

    for name, value in {
        "cache_memory_bytes": 1 << 30, "shared_memory_bytes": 1 << 30, "max_held_bytes": 1 << 30,
        "max_request_bytes": 1 << 30, "work_megapixels": 100.0, "max_running": 100, "max_variants": 100,
        "max_pixels": 100_000_000, "decoders": 8,
    }.items():  # fmt: skip
        assert total(**{name: value}) > total(), name


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_pods_limit_is_the_sum_of_its_settings(name: str) -> None:
    manifests = overlay(name)
    values = {key.removeprefix("BACKDROP_").lower(): value for key, value in settings(manifests).items()}
    needed = sum(parts(Settings(**values), REFERENCE).values())  # type: ignore[arg-type]  # as the environment would
    resources = main_container(serving(manifests, "orchestrator"))["resources"]
    limit = in_bytes(resources["limits"]["memory"])
    assert resources["requests"]["memory"] == resources["limits"]["memory"]
    assert needed <= limit <= 1.15 * needed, f"{needed / MIB:.0f} MiB are needed"


def test_the_sum_is_printed() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator.footprint"],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "BACKDROP_TRITON_ENDPOINTS": "t:1", "BACKDROP_REPOSITORY": "triton_repo"},
    )  # fmt: skip
    *listed, last = [float(line.split()[0]) for line in done.stdout.splitlines()]
    assert last == pytest.approx(sum(listed), abs=5)
    assert len(listed) == len(parts(Settings(triton_endpoints="t:1", repository=Path()), REFERENCE))
    assert footprint.PROCESS_BYTES / MIB in listed

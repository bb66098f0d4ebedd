"""Decoders in other processes give what the contract gives, and their death is survived."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backdrop.contract.masks import read_mask
from backdrop.contract.pictures import decode_photo
from backdrop.errors import InvalidRequestError, Reason
from local.orchestrator import ROOT
from orchestrator.__main__ import serve
from orchestrator.api.info import describe_server
from orchestrator.api.parse import Parser
from orchestrator.decoding import HERE, CannotDecodeError, Decoders
from orchestrator.decoding.messages import receive
from orchestrator.footprint import DECODER_BYTES
from tests.field import files
from tests.messages import generate_request
from tests.orchestrator.small import server_settings, tokenizers
from tests.pictures import ellipse_mask, encoded, noisy_photo

PHOTO = encoded(noisy_photo(64, 48))
LIMITS: dict[str, Any] = {"max_pixels": 1_000_000}
PLACE = {"task": "background", "picture": "product"}
KILLER = (sys.executable, str(Path(__file__).parent / "killer.py"))


@pytest.fixture(scope="module")
def decoders() -> Iterator[Decoders]:
    """Two decoders that die of some pictures."""
    decoders = Decoders(2, timeout_s=20.0, command=KILLER)
    decoders.start()
    yield decoders
    decoders.close()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_photos_are_the_same_as_here(decoders: Decoders, kind: str) -> None:
    rgba = np.dstack([noisy_photo(40, 30), ellipse_mask(40, 30)])
    data = encoded(rgba[..., :3] if kind == "JPEG" else rgba, kind)
    here, there = (each(data, field="p", **LIMITS) for each in (decode_photo, decoders.photo))
    assert np.array_equal(here.rgb, there.rgb)
    assert (here.alpha is None) == (there.alpha is None)
    assert here.alpha is None or there.alpha is None or np.array_equal(here.alpha, there.alpha)
    assert (here.orientation, here.warnings) == (there.orientation, there.warnings)


def test_masks_are_the_same_as_here(decoders: Decoders) -> None:
    photo = decode_photo(PHOTO, field="p", **LIMITS)
    for data in (encoded(ellipse_mask(64, 48, soft=True)), b""):
        here, there = (each(data, photo, **LIMITS, **PLACE) for each in (read_mask, decoders.mask))
        assert (here.values is None) == (there.values is None) == (data == b"")
        assert here.values is None or there.values is None or np.array_equal(here.values, there.values)
        assert (here.source, here.warnings) == (there.source, there.warnings)


@pytest.mark.parametrize("data", [b"", b"no picture", PHOTO[:-60], encoded(noisy_photo(2000, 600))])
def test_refusals_are_the_same_as_here(decoders: Decoders, data: bytes) -> None:
    refusals = []
    for decode in (decode_photo, decoders.photo):
        with pytest.raises(InvalidRequestError) as caught:
            decode(data, field="background.product", **LIMITS)
        refusals.append((caught.value.reason, caught.value.message, caught.value.field))
    assert refusals[0] == refusals[1]
    with pytest.raises(InvalidRequestError) as caught:
        decoders.mask(PHOTO, decode_photo(files.jpeg(files.PHOTO), field="p", **LIMITS), **LIMITS, **PLACE)
    assert caught.value.field == "background.mask"


def test_a_picture_that_kills_its_decoder_is_refused_and_the_next_one_is_decoded(decoders: Decoders) -> None:
    before = decoders.deaths
    with pytest.raises(InvalidRequestError) as caught:
        decoders.photo(PHOTO + b"die", field="background.product", **LIMITS)
    assert (caught.value.reason, caught.value.field) == (Reason.INVALID_PICTURE, "background.product")
    assert decoders.deaths == before + 2
    for _ in range(2):  # each decoder
        assert decoders.photo(PHOTO, field="p", **LIMITS).size.width == 64


def test_a_decoder_that_was_killed_from_outside_costs_no_request(decoders: Decoders) -> None:
    for pid in decoders.processes():
        os.kill(pid, signal.SIGKILL)
    for _ in range(2):  # each decoder
        assert decoders.photo(PHOTO, field="p", **LIMITS).size.width == 64


def test_a_decoder_that_hangs_is_killed() -> None:
    decoders = Decoders(1, timeout_s=1.5, command=KILLER)
    with pytest.raises(InvalidRequestError):
        decoders.photo(PHOTO + b"hang", field="p", **LIMITS)
    assert decoders.deaths == 2
    decoders.close()


def test_pictures_of_many_threads_are_not_mixed_up(decoders: Decoders) -> None:
    photos = [noisy_photo(40 + seed, 30, seed) for seed in range(8)]
    wrong: list[int] = []

    def decode(index: int) -> None:
        photo = decoders.photo(encoded(photos[index]), field="p", **LIMITS)
        if not np.array_equal(photo.rgb, photos[index]):
            wrong.append(index)

    threads = [threading.Thread(target=decode, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_decoder_holds_no_variables_and_little_memory(decoders: Decoders) -> None:
    decoders.photo(PHOTO, field="p", **LIMITS)
    decoders.start()
    for pid in decoders.processes():
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        assert {each.partition(b"=")[0] for each in variables if each} == {b"PYTHONPATH", b"OPENBLAS_NUM_THREADS"}
        resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        assert resident < DECODER_BYTES


def test_a_decoder_finds_packages_where_this_process_does() -> None:
    # Without site, Python knows no place of packages, as in the image.
    decoders = Decoders(1, command=(sys.executable, "-S", "-m", "orchestrator.decoding.worker"))
    assert decoders.photo(PHOTO, field="p", **LIMITS).size.width == 64
    decoders.close()


@pytest.mark.parametrize("command", [(sys.executable, "-c", "exit(3)"), ("/no/such/program",)])
def test_decoders_that_cannot_be_started_are_the_servers_fault(command: tuple[str, ...]) -> None:
    decoders = Decoders(1, command=command)
    for attempt in (decoders.wait_ready, lambda: decoders.photo(PHOTO, field="p", **LIMITS)):
        with pytest.raises(CannotDecodeError, match=r"ended with status 3 before its first|No such file"):
            attempt()
    decoders.close()


def test_a_decoder_whose_server_is_gone_or_that_is_interrupted_says_nothing() -> None:
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-m", "orchestrator.decoding.worker", str(theirs.fileno()), "4096"]
    with theirs, subprocess.Popen(command, pass_fds=[theirs.fileno()], stderr=subprocess.PIPE, cwd=ROOT) as process:
        theirs.close()
        assert receive(ours, 0)[0] == {}
        process.send_signal(signal.SIGINT)
        ours.close()
        assert process.communicate(timeout=20.0)[1] == b""
    assert process.returncode == 0
    ours, theirs = socket.socketpair()
    ours.close()  # before it could greet
    command[-2] = str(theirs.fileno())
    with theirs:
        done = subprocess.run(command, pass_fds=[theirs.fileno()], capture_output=True, cwd=ROOT, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


async def test_a_server_whose_decoders_do_not_start_is_never_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = Decoders(1, command=(sys.executable, "-c", "exit(3)"))
    monkeypatch.setattr("orchestrator.__main__.decoders", lambda count, watch: contextlib.nullcontext(broken))
    with pytest.raises(CannotDecodeError, match="before its first picture"):
        async with asyncio.timeout(20.0):
            await serve(server_settings(tmp_path))


def test_decoders_end_with_the_server() -> None:
    decoders = Decoders(1)
    decoders.start()
    assert decoders.photo(PHOTO, field="p", **LIMITS).size.width == 64
    worker = decoders._idle.queue[0]
    assert worker._connection is not None
    worker._connection.close()  # as when this process dies
    deadline = time.monotonic() + 10
    while worker._process is not None and worker._process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_requests_are_decoded_there(decoders: Decoders, tmp_path: Path) -> None:
    repository, prompts = tokenizers(tmp_path)
    information = describe_server(server_settings(tmp_path), repository)
    style = {"image": files.jpeg(files.PHOTO), "weight": 1.0}
    mask = encoded(ellipse_mask(64, 48))
    message = generate_request(product=PHOTO, mask=mask, pipeline="small-style", style_images=[style], prompt="a beach")
    here, there = (
        Parser(information, repository, prompts, decoder).parse(message, "id") for decoder in (HERE, decoders)
    )
    pictures = [request.read_input() for request in (here, there)]
    assert pictures[0].picture is not None
    assert all(np.array_equal(pictures[0].picture, each.picture) for each in pictures if each.picture is not None)
    styles = [request.read_conditioning().style for request in (here, there)]
    assert np.array_equal(styles[0][0].pixels, styles[1][0].pixels)

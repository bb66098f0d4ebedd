"""The contact sheet and the live bars: that they draw whatever comes."""

from __future__ import annotations

import contextlib
import dataclasses
import io
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from backdrop import (
    Accepted,
    Box,
    CacheReport,
    CompositingMode,
    Event,
    MaskSource,
    OutputFormat,
    Picture,
    Receipt,
    Result,
    Scheduler,
    Scores,
    Settings,
    Stage,
    StageStarted,
    StepProgress,
    Usage,
    VariantFinished,
)
from backdrop._cli.contact_sheet import draw_contact_sheet, save_contact_sheet
from backdrop._cli.progress import Bars, Lines, make_display
from tests.pictures import encoded, noisy_photo

SCORES = Scores(0.5, {"aesthetics": 0.4, "defects": 0.5, "fidelity": 0.6})


def result_of(count: int, size: tuple[int, int], difference: int = 0) -> Result:
    data = encoded(noisy_photo(*size))
    box, exact = Box(0, 0, 1, 1), difference == 0
    receipt = Receipt(difference, 10, "", CompositingMode.HARD, MaskSource.REQUEST, box, True, 10, 1.0, exact)
    pictures = tuple(Picture(data, "image/png", *size, n, n, 2**63 - 1 - n, SCORES, receipt) for n in range(count))
    settings = Settings(
        task="background",
        pipeline="backdrop",
        seed=1,
        scheduler=Scheduler.DPMPP_2M,
        steps=20,
        guidance_scale=5.0,
        variants=count,
        top_k=count,
        output_size=size,
        output_format=OutputFormat.PNG,
        scene_size=(256, 256),
    )
    return Result({}, (), CacheReport(0, 0, 0), settings, False, "id", Usage(0, 0, 0.0), (), pictures)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7, 16])
@pytest.mark.parametrize("size", [(64, 64), (400, 64), (64, 400)])
def test_any_number_of_any_shape_fits_on_the_sheet(count: int, size: tuple[int, int]) -> None:
    sheet = draw_contact_sheet(encoded(noisy_photo(64, 48)), result_of(count, size), "on a beach")
    assert sheet.mode == "RGB"
    assert max(sheet.size) < 6000
    assert 1 / 4 < sheet.width / sheet.height < 5


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
@pytest.mark.parametrize("size", [(1, 1), (8, 800), (800, 8)])
def test_any_photo_is_drawn(mode: str, size: tuple[int, int]) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", size, "red").convert(mode).save(buffer, "JPEG" if mode == "CMYK" else "PNG")
    assert draw_contact_sheet(buffer.getvalue(), result_of(1, (64, 64)), "")


def test_without_a_sent_picture_the_sheet_has_the_settings_alone() -> None:
    result = result_of(2, (64, 64))
    bare = tuple(dataclasses.replace(picture, receipt=None) for picture in result.pictures)
    sheet = draw_contact_sheet(None, dataclasses.replace(result, pictures=bare), "on a beach")
    assert sheet.size == draw_contact_sheet(encoded(noisy_photo(64, 48)), result, "on a beach").size


@pytest.mark.parametrize("prompt", ["", "wörter " * 200, "w" * 5000, "一只杯子 🏖", "\u202eabc\n\t"])
def test_any_prompt_is_written(prompt: str, tmp_path: Path) -> None:
    save_contact_sheet(tmp_path / "sheet.png", encoded(noisy_photo(64, 48)), result_of(2, (64, 64), 3), prompt)
    assert Image.open(tmp_path / "sheet.png").format == "PNG"


EVENTS: list[Event] = [
    Accepted("id", 2, 12),
    Accepted("id", 0, 12),
    StageStarted(Stage.ENCODE),
    StageStarted(Stage.UNKNOWN),
    StageStarted(Stage.DENOISE),
    StepProgress(0, 1, 3),
    StepProgress(1, 1, 3),
    Accepted("id2", 0, 12),  # a retry
    StageStarted(Stage.DENOISE),
    StepProgress(0, 3, 3),
    VariantFinished(0, 7, SCORES),
    VariantFinished(1, 8, SCORES),
]


@pytest.mark.parametrize(("terminal", "kind"), [(True, Bars), (False, Lines)])
def test_events_are_shown_on_terminals_and_elsewhere(terminal: bool, kind: type) -> None:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=120)
    with make_display(console, 2) as display:
        assert isinstance(display, kind)
        for event in EVENTS:
            display.show(event)
    written = console.file.getvalue()  # type: ignore[attr-defined]
    assert "variant 1" in written
    assert "score 0.500" in written
    if kind is Lines:
        assert "waiting, place 2 in the queue" in written


def test_bars_survive_a_failure() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    with contextlib.suppress(KeyError), make_display(console, 1) as display:
        display.show(EVENTS[0])
        raise KeyError
    assert "done" not in console.file.getvalue()  # type: ignore[attr-defined]

"""What the command line shows of an export: the time, each part, and never silence for long."""

from __future__ import annotations

import io
import time

from rich.console import Console

from export.progress import ProgressDisplay, with_usual_time


def test_a_log_has_a_line_for_each_part_and_is_never_silent() -> None:
    log = io.StringIO()
    with ProgressDisplay(Console(file=log, force_terminal=False), silence_s=0.1) as progress:
        progress("denoiser", "tracing: capturing")
        time.sleep(0.5)
        progress("denoiser", "done in 0.5 s")
    first, *repeated, last = log.getvalue().splitlines()
    assert first == "    0 s  denoiser: tracing: capturing"
    assert len(repeated) >= 2
    assert {line.split(" s  ")[1].split(" (")[0] for line in repeated} == {"denoiser: tracing: capturing"}
    assert last.endswith("denoiser: done in 0.5 s")


def test_a_terminal_keeps_lines_of_finished_models_alone() -> None:
    screen = io.StringIO()
    with ProgressDisplay(Console(file=screen, force_terminal=True, width=100)) as progress:
        progress("vae", "loading")
        progress("vae", "done in 1.0 s")
    lines = [line for line in screen.getvalue().splitlines() if "vae: done" in line]
    assert len(lines) == 1
    assert "vae: loading\n" not in screen.getvalue()


def test_long_parts_say_how_long_they_usually_take() -> None:
    assert with_usual_time("capturing", 1000) == "capturing, usually 35 s"
    assert with_usual_time("capturing", 10) == "capturing"
    assert with_usual_time("writing", 1000) == "writing"

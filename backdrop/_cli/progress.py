"""Shows a generation as it happens: live bars on a terminal, plain lines everywhere else."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from backdrop._enums import Stage
from backdrop._events import Accepted, Event, StageStarted, StepProgress, VariantDropped, VariantFinished

_STAGES = {
    Stage.ENCODE: "reading the prompt",
    Stage.PREPARE: "preparing the pictures",
    Stage.DENOISE: "making the scenes",
    Stage.DECODE: "decoding and compositing",
    Stage.SCORE: "scoring",
    Stage.SELECT: "choosing the best",
}


class Display(Protocol):
    """Shows events."""

    def show(self, event: Event) -> None:
        """Shows what happened."""

    def __enter__(self) -> Display: ...

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


def make_display(console: Console, variants: int) -> Display:
    """Returns bars where the console is a terminal, else lines."""
    return Bars(console, variants) if console.is_terminal else Lines(console)


class Bars:
    """A line for the stage, and a bar for each variant."""

    def __init__(self, console: Console, variants: int) -> None:
        self._progress = Progress(
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=32),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            console=console,
        )
        self._stage = self._progress.add_task("connecting", total=len(_STAGES), note="")
        self._variants: dict[int, TaskID] = {}
        self._count = variants

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self._progress.update(self._stage, completed=len(_STAGES), description="done", note="")
        self._progress.stop()

    def show(self, event: Event) -> None:
        """Moves the bars."""
        match event:
            case Accepted(queue_position=0):
                self._restart("starting")
            case Accepted(queue_position=place):
                self._restart(f"waiting, place {place} in the queue")
            case StageStarted(stage):
                done = list(_STAGES).index(stage) if stage in _STAGES else None
                self._progress.update(self._stage, description=_STAGES.get(stage, stage), completed=done)
            case StepProgress(variant=variant, step=step, steps=steps, draft=draft):
                self._progress.update(
                    self._bar(variant, steps), total=steps, completed=step, note="draft" if draft else ""
                )
            case VariantFinished(variant=variant, seed=seed, scores=scores):
                note = f"score {scores.total:.3f}  seed {seed}" if scores else f"seed {seed}"
                self._progress.update(self._bar(variant, None), note=note)
            case VariantDropped(variant=variant, scores=scores):
                self._progress.update(self._bar(variant, None), note=f"given up at {scores.total:.3f}")

    def _restart(self, description: str) -> None:
        """Resets the bars: a retry starts again."""
        for task in self._variants.values():
            self._progress.remove_task(task)
        self._variants.clear()
        self._progress.update(self._stage, description=description, completed=0)

    def _bar(self, variant: int, steps: int | None) -> TaskID:
        if variant not in self._variants:
            name = f"variant {variant + 1} of {self._count}"
            self._variants[variant] = self._progress.add_task(name, total=steps, note="")
        return self._variants[variant]


class Lines:
    """One line for each event of interest; a variant's steps at every quarter."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def __enter__(self) -> Lines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return

    def show(self, event: Event) -> None:
        """Writes a line, or nothing."""
        match event:
            case Accepted(request_id=request_id, queue_position=place):
                self._say(f"request {request_id}: " + (f"waiting, place {place} in the queue" if place else "starting"))
            case StageStarted(stage):
                self._say(_STAGES.get(stage, stage))
            case StepProgress(variant=variant, step=step, steps=steps) if step * 4 // steps > (step - 1) * 4 // steps:
                self._say(f"variant {variant + 1}: {'draft, ' if event.draft else ''}step {step} of {steps}")
            case VariantFinished(variant=variant, seed=seed, scores=scores):
                self._say(f"variant {variant + 1}: {f'score {scores.total:.3f}, ' if scores else ''}seed {seed}")
            case VariantDropped(variant=variant, scores=scores):
                self._say(f"variant {variant + 1}: given up, score {scores.total:.3f} so far")

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

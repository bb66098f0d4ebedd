"""Failures of the command line: one sentence and an exit status, never a traceback."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import typer
from rich.console import Console
from rich.text import Text

from backdrop._cli.flags import flag_of, with_flags
from backdrop.errors import (
    BackdropError,
    CancelledError,
    ConflictError,
    DeadlineExceededError,
    InternalError,
    InvalidRequestError,
    NotFoundError,
    OverloadedError,
    Reason,
    UnavailableError,
)

BAD_INPUT, UNAVAILABLE, OVERLOADED, OTHER, INTERRUPTED = 2, 3, 4, 1, 130

EXIT_STATUSES = (
    "Exit status: 0 done, 2 bad input, 3 no server or not ready, 4 overloaded or out of time, 130 interrupted, 1 other."
)

_STATUS: tuple[tuple[type[BackdropError], int], ...] = (
    (InvalidRequestError, BAD_INPUT),
    (NotFoundError, BAD_INPUT),
    (ConflictError, BAD_INPUT),
    (UnavailableError, UNAVAILABLE),
    (OverloadedError, OVERLOADED),
    (DeadlineExceededError, OVERLOADED),
    (CancelledError, INTERRUPTED),
)


class Refusal(Exception):  # noqa: N818  (never seen by callers)
    """The command line cannot continue: the reason, and the exit status."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


@contextlib.contextmanager
def failures_as_sentences() -> Iterator[None]:
    """Turns every failure inside into a red message on stderr and an exit status."""
    try:
        yield
    except BackdropError as exc:
        _exit(sentence(exc), status_of(exc))
    except KeyboardInterrupt:
        _exit("Cancelled; the server has been told to stop.", INTERRUPTED)
    except OSError as exc:
        _exit(f"{exc.filename or 'A file'}: {exc.strerror or exc}.", BAD_INPUT)
    except Refusal as exc:
        _exit(str(exc), exc.status)
    except typer.Exit:
        raise
    except Exception as exc:
        _exit(f"This is a defect of the command line, please report it: {type(exc).__name__}: {exc}", OTHER)


def status_of(error: BackdropError) -> int:
    """Returns the exit status for `error`."""
    return next((status for cls, status in _STATUS if isinstance(error, cls)), OTHER)


def sentence(error: BackdropError) -> str:
    """Returns the message with flags instead of fields, and what to do about it."""
    parts = [with_flags(error.message)]
    flag = flag_of(error.field)
    if flag and not re.search(rf"{flag}(?![\w-])", parts[0]):
        parts.append(f"Change {flag}.")
    elif error.field and not flag:
        parts.append(f"(Field: {error.field}.)")
    if error.reason is Reason.UNREACHABLE:
        parts.append("`backdrop up` starts one from a checkout; --endpoint or BACKDROP_ENDPOINT names another.")
    if isinstance(error, DeadlineExceededError):
        parts.append("Raise --timeout.")
    if error.retry_after_s is not None:
        parts.append(f"Try again in {error.retry_after_s:.1f} s.")
    if isinstance(error, InternalError) and error.request_id:
        parts.append(f"When you report it, quote request {error.request_id}.")
    return " ".join(parts)


def _exit(text: str, status: int) -> None:
    Console(stderr=True).print(Text("Error: " + text, style="red"), soft_wrap=True)
    raise typer.Exit(status)

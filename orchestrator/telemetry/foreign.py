"""What logs may say of errors that are not ours: their texts may quote prompts, pixels, keys and passwords."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from types import TracebackType

_MOST_CHARACTERS = 300
_ARGUMENTS = re.compile(r",? with args.*", re.DOTALL)
"""Redis repeats the arguments of a command that it does not know: AUTH's are passwords, SET's are pictures."""
_NUMBERS = re.compile(r"(?:[-+]?\d[\d.eE+-]*[\s,;()\[\]]+){8,}")
_MOST_CAUSES = 8
ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


def quoted(text: str, *secrets: str) -> str:
    """The text of another program's error for our log: one line of 300 characters, without values and `secrets`."""
    for secret in filter(None, secrets):
        text = text.replace(secret, "[secret]")
    text = _NUMBERS.sub("[numbers] ", _ARGUMENTS.sub("", text))
    return " ".join(text.split())[:_MOST_CHARACTERS]


def frames(exc_info: ExcInfo) -> str:
    """The types of an exception and its causes, each after the lines that it passed. Their texts are left out."""
    return "\n".join(_frames(exc_info[1], _MOST_CAUSES))


def _frames(problem: BaseException, most: int) -> Iterator[str]:
    lines = traceback.format_list(traceback.extract_tb(problem.__traceback__))
    yield "".join(lines) + f"{type(problem).__module__}.{type(problem).__qualname__}"
    causes = [*problem.exceptions] if isinstance(problem, BaseExceptionGroup) else []
    before = problem.__cause__ or (None if problem.__suppress_context__ else problem.__context__)
    if most:
        for cause in [*causes, *([before] if before else [])]:
            yield from _frames(cause, most - 1)

"""A few seconds of fuzzing: the kept corpus, then random edits of it; and atheris finds a planted fault."""

from __future__ import annotations

import random
import subprocess
import sys
import time

import pytest

from tests.fuzz import mutators, registry
from tests.fuzz.targets import CORPUS, ROOT, Target, UndocumentedError, expect_clean

_SECONDS = 0.25
_EDITS = 400


def corpus(name: str, target: Target) -> list[bytes]:
    """The kept inputs, and the target's own."""
    kept = sorted((CORPUS / name).iterdir()) if (CORPUS / name).is_dir() else []
    return [*(file.read_bytes() for file in kept), *target.seeds]


@pytest.mark.parametrize("name", [*registry.PARSERS, *registry.SERVERS])
def test_no_input_of_the_corpus_and_no_edit_of_one_has_an_undocumented_outcome(name: str) -> None:
    """Servers get their event loop from the target, so this is no coroutine."""
    target = registry.ALL[name]()
    inputs = corpus(name, target)
    for data in inputs:
        target.run(data)
    rng, until = random.Random(sum(name.encode())), time.monotonic() + _SECONDS
    for _ in range(_EDITS):
        if time.monotonic() > until:
            break
        target.run(
            target.shape(rng.choice(inputs), target.longest, rng, lambda data, most: mutators.plain(data, most, rng))
        )


@pytest.mark.parametrize("name", registry.PARSERS)
def test_the_corpus_is_small(name: str) -> None:
    assert sum(file.stat().st_size for file in (CORPUS / name).glob("*")) < 40_000


@pytest.mark.parametrize("text", ["/work/x is missing", "Traceback (most", "at <class 'int'>", "in model.py line 3"])
def test_texts_about_the_inside_of_a_server_are_seen(text: str) -> None:
    with pytest.raises(UndocumentedError):
        expect_clean(text)


def test_atheris_runs_a_target() -> None:
    pytest.importorskip(
        "atheris", reason="atheris has no wheel for this platform: fuzzing needs it, the suite does not"
    )
    command = [sys.executable, "-m", "tests.fuzz.child", "colours", "-runs=200", "-print_final_stats=1"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert run.returncode == 0, run.stderr
    assert "stat::number_of_executed_units: 20" in run.stderr

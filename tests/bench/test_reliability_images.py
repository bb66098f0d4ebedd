"""The marks of the images: skipped in words without the programs, missed with the reason when an image fails."""

from __future__ import annotations

import pytest

from bench.reliability_images import figures, images
from tests.k8s.images import plan
from tests.k8s.images.trial import Report


def test_without_the_programs_it_says_so_and_has_no_figures(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(plan, "missing", lambda: "no buildah here")
    assert images("command") == []
    assert "skipped: no buildah here" in capsys.readouterr().err


def test_an_image_with_a_problem_is_counted_and_quoted() -> None:
    report = Report(["models", "orchestrator"], {"x": "its base"}, {"models": ["no such file"], "orchestrator": []})
    built, picture = figures(report, "command")
    assert (built.value, picture.value, built.met, picture.met) == (1, 0, False, False)
    assert "models: no such file" in built.mark.reason
    assert "not built: x, its base" in built.spread


def test_all_built_and_a_picture_reach_both_marks() -> None:
    report = Report(["models"], {}, {"models": []}, picture=True)
    assert all(figure.met for figure in figures(report, "command"))

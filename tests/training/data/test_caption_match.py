"""A text fits a picture by what it says: what it does not mention cannot be wrong."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from training.data.caption_match import fits, fitting, said
from training.world.labels import Spec

BEACH = Spec(0, "beach", "sunset", "rain", "teal", "red", "palms", "mug", "blue")


@pytest.mark.parametrize(
    ("text", "facets"),
    [
        ("a sandy beach", set()),
        ("a beach at sunset", {"time"}),
        ("beach sunset", {"time"}),
        ("a beach in the rain in teal tones", {"weather", "palette"}),
    ],
)
def test_what_a_text_names(text: str, facets: set[str]) -> None:
    assert said(text, BEACH) == facets


def test_only_what_is_said_can_be_wrong() -> None:
    other = asdict(replace(BEACH, time="night", weather="clear"))
    assert fits(other, "a sandy beach in teal tones", BEACH)
    assert not fits(other, "a beach at sunset", BEACH)
    assert not fits(asdict(replace(BEACH, scene="city")), "a sandy beach", BEACH)


def test_a_backdrop_s_colour_cannot_be_seen_under_a_palette() -> None:
    studio = replace(BEACH, scene="studio", detail="plain", palette="natural", weather="clear")
    text = "a studio with a red backdrop"
    assert said(text, studio) == {"accent"}
    assert fits(asdict(studio), text, studio)
    assert not fits(asdict(replace(studio, palette="teal")), text, studio)
    assert not fits(asdict(replace(studio, accent="blue")), text, studio)


def test_every_text_fits_its_own_picture() -> None:
    rows = [asdict(BEACH), asdict(replace(BEACH, time="day"))]
    table = fitting(rows, ["a beach at sunset", "a beach at noon"], [BEACH, replace(BEACH, time="day")])
    assert table.tolist() == [[1, 0], [0, 1]]

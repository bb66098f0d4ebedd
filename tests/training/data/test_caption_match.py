"""A text matches a picture by the attributes that it names; others cannot be wrong."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from training.data.caption_match import match_table, matches, named_attributes
from training.world.labels import Spec

BEACH = Spec(0, "beach", "sunset", "rain", "teal", "red", "palms", "mug", "blue")


@pytest.mark.parametrize(
    ("text", "attributes"),
    [
        ("a sandy beach", set()),
        ("a beach at sunset", {"time"}),
        ("beach sunset", {"time"}),
        ("a beach in the rain in teal tones", {"weather", "palette"}),
    ],
)
def test_what_a_text_names(text: str, attributes: set[str]) -> None:
    assert named_attributes(text, BEACH) == attributes


def test_only_what_is_said_can_be_wrong() -> None:
    other = asdict(replace(BEACH, time="night", weather="clear"))
    assert matches(other, "a sandy beach in teal tones", BEACH)
    assert not matches(other, "a beach at sunset", BEACH)
    assert not matches(asdict(replace(BEACH, scene="city")), "a sandy beach", BEACH)


def test_a_backdrop_s_colour_cannot_be_seen_under_a_palette() -> None:
    studio = replace(BEACH, scene="studio", detail="plain", palette="natural", weather="clear")
    text = "a studio with a red backdrop"
    assert named_attributes(text, studio) == {"accent"}
    assert matches(asdict(studio), text, studio)
    assert not matches(asdict(replace(studio, palette="teal")), text, studio)
    assert not matches(asdict(replace(studio, accent="blue")), text, studio)


def test_every_text_fits_its_own_picture() -> None:
    rows = [asdict(BEACH), asdict(replace(BEACH, time="day"))]
    table = match_table(rows, ["a beach at sunset", "a beach at noon"], [BEACH, replace(BEACH, time="day")])
    assert table.tolist() == [[1, 0], [0, 1]]

"""The table of scenes: from a label to the function that paints it."""

from __future__ import annotations

from collections.abc import Callable

from training.world.built import city, kitchen, studio
from training.world.canvas import Canvas
from training.world.far_places import forest, space
from training.world.garden import garden
from training.world.harbour import harbour
from training.world.labels import Spec
from training.world.open_air import beach, desert, mountain
from training.world.rooms import library, lounge
from training.world.sky import Light
from training.world.streets import market
from training.world.wintry import snow

PAINTERS: dict[str, Callable[[Canvas, Spec], Light]] = {
    "beach": beach,
    "city": city,
    "space": space,
    "forest": forest,
    "studio": studio,
    "desert": desert,
    "mountain": mountain,
    "kitchen": kitchen,
    "snow": snow,
    "market": market,
    "garden": garden,
    "harbour": harbour,
    "lounge": lounge,
    "library": library,
}

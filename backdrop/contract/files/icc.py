"""PNG's colour chunks (cICP, gAMA with cHRM) as ICC profiles, so that one conversion serves them and embedded profiles.

A profile is of the matrix and curve kind (ICC.1:2022): primaries adapted to D50 (Bradford), and one parametric curve.
"""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt

from backdrop.contract.files.container import Fault, PictureError

Matrix = npt.NDArray[np.float64]
Chromaticities = tuple[float, float, float, float, float, float, float, float]
"""x and y of white, red, green and blue, in the order of PNG's cHRM."""

_D65, _D50 = (0.3127, 0.3290), np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])

_SRGB_POINTS: Chromaticities = (*_D65, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
PRIMARIES: dict[int, Chromaticities] = {
    1: _SRGB_POINTS,
    4: (0.310, 0.316, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (*_D65, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: (*_D65, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07),
    9: (*_D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    11: (0.314, 0.351, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
    12: (*_D65, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
}
"""Colour primaries by their numbers in ITU-T H.273: BT.709, BT.470, BT.601, BT.2020, DCI-P3 and Display P3."""

Curve = tuple[float, ...]
"""Parameters of an ICC parametric curve: γ alone, or γ, a, b, c, d of ((a·x + b)^γ above d, c·x below)."""
_SRGB_CURVE: Curve = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
_VIDEO_CURVE: Curve = (1 / 0.45, 1 / 1.0993, 0.0993 / 1.0993, 1 / 4.5, 0.0813)
CURVES: dict[int, Curve] = {
    1: _VIDEO_CURVE,
    4: (2.2,),
    5: (2.8,),
    6: _VIDEO_CURVE,
    8: (1.0,),
    13: _SRGB_CURVE,
    14: _VIDEO_CURVE,
    15: _VIDEO_CURVE,
}
"""Transfer characteristics by their numbers in H.273: BT.709 and its kin, γ 2.2, γ 2.8, linear, sRGB."""
_HDR = (16, 18)
"""PQ and HLG."""

_SRGB_GAMMA, _CLOSE = 45455, 500
"""PNG's gAMA of sRGB, in 1/100,000; writers round it differently."""


def coded_profile(primaries: int, transfer: int, matrix: int, full_range: int) -> bytes | None:
    """The profile that a cICP chunk stands for; None if its numbers are not served.

    Raises:
        PictureError: the picture is HDR.
    """
    if transfer in _HDR:
        raise PictureError(Fault.HDR)
    if primaries not in PRIMARIES or transfer not in CURVES or matrix or full_range != 1:
        return None
    return _profile(PRIMARIES[primaries], CURVES[transfer])


def measured_profile(gamma: int | None, points: tuple[int, ...] | None) -> bytes:
    """The profile of gAMA and cHRM, in 1/100,000; empty for those of sRGB, for none, and for impossible ones."""
    if gamma is None and points is None:
        return b""
    curve = _SRGB_CURVE if gamma is None or abs(gamma - _SRGB_GAMMA) <= _CLOSE else (100_000 / max(gamma, 1),)
    whole = _SRGB_POINTS if points is None else tuple(each / 100_000 for each in points)
    if not 0.1 <= curve[0] <= 10 or (curve == _SRGB_CURVE and np.allclose(whole, _SRGB_POINTS, atol=0.002)):
        return b""
    try:
        with np.errstate(all="raise"):
            return _profile(whole, curve)
    except (np.linalg.LinAlgError, ArithmeticError, struct.error):
        return b""


def _profile(points: tuple[float, ...], curve: Curve) -> bytes:
    """A display profile: header, table of tags, and their contents."""
    columns = _colorants(points)
    parametric = b"para" + bytes(4) + struct.pack(">HH", 3 if len(curve) > 1 else 0, 0) + _numbers(curve)
    tags = {b"wtpt": _xyz(_D50), **{name + b"XYZ": _xyz(columns[:, i]) for i, name in enumerate((b"r", b"g", b"b"))}}
    tags |= {name + b"TRC": parametric for name in (b"r", b"g", b"b")}
    place, table, contents = 128 + 4 + 12 * len(tags), b"", b""
    for name, content in tags.items():
        table += struct.pack(">4sII", name, place + len(contents), len(content))
        contents += content
    header = struct.pack(">I4sI4s4s4s", place + len(contents), b"\0" * 4, 0x04300000, b"mntr", b"RGB ", b"XYZ ")
    header += struct.pack(">6H4s", 2026, 1, 1, 0, 0, 0, b"acsp") + bytes(28) + _numbers(_D50)
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + contents


def _colorants(points: tuple[float, ...]) -> Matrix:
    """Columns: X, Y, Z of red, green and blue under D50."""
    whole = np.array(points, np.float64).reshape(4, 2)
    white, *colours = [np.array([x / y, 1.0, (1 - x - y) / y]) for x, y in whole]
    primaries = np.column_stack(colours)
    scaled = primaries * np.linalg.solve(primaries, white)
    cones = (_BRADFORD @ _D50) / (_BRADFORD @ white)
    adapted: Matrix = np.linalg.inv(_BRADFORD) @ np.diag(cones) @ _BRADFORD @ scaled
    return adapted


def _xyz(values: npt.NDArray[np.float64]) -> bytes:
    return b"XYZ " + bytes(4) + _numbers(values)


def _numbers(values: npt.NDArray[np.float64] | Curve) -> bytes:
    """Fixed-point numbers of 16 and 16 bits."""
    return b"".join(struct.pack(">i", round(float(value) * 65536)) for value in values)

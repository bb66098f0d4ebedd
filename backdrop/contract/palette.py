"""Palettes: hex colours that a scene follows, and the transfer of its colours towards them.

Colours are compared in CIE L*a*b* (D65). The transfer is regularised optimal transport between the scene's colours and
the palette (Ferradans et al. 2014; Cuturi 2013): every colour of the palette gets a share of the scene, and a colour
of the scene moves a part of the way to the mean of the colours that its mass goes to. The map is smooth, so it makes
no edges where there were none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from backdrop.contract.limits import MAX_COLOURS
from backdrop.errors import Reason, error

Values = npt.NDArray[np.float32]
_HEX = re.compile(r"#?([0-9a-fA-F]{6}|[0-9a-fA-F]{3})")
_FIELD = "conditioning.palette"
_SAMPLE = 4096
"""Pixels from which the shares are computed."""
_SOFTNESS = 20.0
"""Standard deviation of the transport's kernel, in units of L*a*b*."""
_EVEN = 0.6
"""How even the shares are: 0 = as near as the scene's colours lie, 1 = the same for each colour of the palette."""
_ROUNDS = 30
_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]],
    np.float32,
)
_FROM_XYZ = np.linalg.inv(_TO_XYZ).astype(np.float32)
_WHITE = np.array([0.95047, 1.0, 1.08883], np.float32)


def read_palette(colours: Sequence[str]) -> tuple[str, ...]:
    """The colours as "#rrggbb", in the order of the request.

    Raises:
        InvalidRequestError: there are too many, one is no hex colour, or it is there twice.
    """
    if len(colours) > MAX_COLOURS:
        text = f"{_FIELD} holds {len(colours)} colours; at most {MAX_COLOURS} are taken."
        raise error(Reason.OUT_OF_RANGE, text, field=_FIELD)
    palette: list[str] = []
    for index, colour in enumerate(colours):
        match, field = _HEX.fullmatch(colour), f"{_FIELD}[{index}]"
        if match is None:
            text = f"{field} is no hex colour; write six digits, such as #1a2b3c."
            raise error(Reason.UNKNOWN_VALUE, text, field=field)
        digits = match[1].lower()
        value = "#" + (digits if len(digits) == 6 else "".join(digit * 2 for digit in digits))
        if value in palette:
            raise error(Reason.DUPLICATE, f"{field} is there twice; name each colour once.", field=field)
        palette.append(value)
    return tuple(palette)


def colours_of(palette: Sequence[str]) -> Values:
    """The colours [n, 3] of a palette in L*a*b*."""
    rgb = np.array([[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in palette], np.float32)
    return to_lab(rgb / 255)


def towards(rgb: Values, weight: Values, colours: Values, amount: float) -> Values:
    """Moves a scene's colours towards a palette.

    Args:
        rgb: sRGB in 0…1, float32 [..., 3].
        weight: how much of each pixel is the scene's, 0…1, float32 [...]; only where it is above one half do colours
            count for the shares.
        colours: of the palette, [n, 3] in L*a*b*.
        amount: the part of the way, 0…1.

    Returns:
        sRGB in 0…1 of the same shape.
    """
    lab = to_lab(rgb)
    chosen = lab[weight > 0.5]
    if not len(chosen):
        return rgb
    potentials = _potentials(chosen[:: max(1, len(chosen) // _SAMPLE)], colours)
    target = _transported(lab.reshape(-1, 3), colours, potentials).reshape(lab.shape)
    return to_rgb(np.asarray(lab + amount * (target - lab), np.float32))


def _kernel(lab: Values, colours: Values) -> Values:
    distance = np.square(lab[:, None] - colours[None]).sum(axis=2) / (2 * _SOFTNESS**2)
    return np.asarray(-distance, np.float32)


def _shares(logits: Values) -> Values:
    """Rows that add up to 1."""
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


def _potentials(lab: Values, colours: Values) -> Values:
    """What is added to each colour's logits so that it gets its share of the scene (Sinkhorn's iteration)."""
    logits = _kernel(lab, colours)
    near = _shares(logits).mean(axis=0)
    goal = (1 - _EVEN) * near + _EVEN / len(colours)
    potentials = np.zeros(len(colours), np.float32)
    for _ in range(_ROUNDS):
        potentials += np.log(goal / np.maximum(_shares(logits + potentials).mean(axis=0), 1e-6))
    return potentials


def _transported(lab: Values, colours: Values, potentials: Values) -> Values:
    target = np.empty_like(lab)
    for start in range(0, len(lab), _SAMPLE):
        part = slice(start, start + _SAMPLE)
        target[part] = _shares(_kernel(lab[part], colours) + potentials) @ colours
    return target


def to_lab(rgb: Values) -> Values:
    """sRGB in 0…1 [..., 3] to L*a*b* (IEC 61966-2-1, CIE 15)."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = linear @ _TO_XYZ.T / _WHITE
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    lab = [116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])]
    return np.asarray(np.stack(lab, axis=-1), np.float32)


def to_rgb(lab: Values) -> Values:
    """L*a*b* [..., 3] to sRGB, cut to 0…1."""
    y = (lab[..., 0] + 16) / 116
    f = np.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], axis=-1)
    xyz = np.where(f > 6 / 29, f**3, (116 * f - 16) * 27 / 24389) * _WHITE
    linear = np.clip(xyz @ _FROM_XYZ.T, 0, 1)
    rgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(np.clip(rgb, 0, 1), np.float32)

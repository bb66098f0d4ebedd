"""Tables of docs/inputs.md, from the tables that the code reads."""

from __future__ import annotations

from collections.abc import Iterable

from backdrop._pictures import MODES
from backdrop.contract.effects import EFFECTS
from backdrop.contract.files import Fault
from backdrop.contract.files.icc import CURVES, PRIMARIES
from backdrop.contract.limits import MAX_PICTURE_BYTES, MAX_PICTURE_SIDE
from backdrop.contract.masks import MaskFault
from backdrop.contract.mattes import CERTAIN_INSIDE, CERTAIN_OUTSIDE, FAINT, FAR, NEAR
from backdrop.contract.raster import FORMATS
from backdrop.contract.receipts import LEAST_COMPARED
from backdrop.contract.request_warnings import WARNINGS


def warnings_table(_: str = "") -> str:
    """Reasons of warnings."""
    return _table(("reason", "meaning"), ((f"`{reason}`", meaning) for reason, meaning in WARNINGS.items()))


def effects_table(_: str = "") -> str:
    """Fields that can be without effect."""
    return _table(("field", "when, and what to do"), ((f"`{each.field}`", each.why) for each in EFFECTS))


def picture_faults_table(_: str = "") -> str:
    """Why pictures are refused."""
    return _table(("refusal of a picture",), ((f"… {fault.value}",) for fault in Fault))


def mask_faults_table(_: str = "") -> str:
    """Why masks are refused."""
    return _table(("refusal of a mask",), ((f"… {fault.value}",) for fault in MaskFault))


def modes_table(_: str = "") -> str:
    """How PIL images are sent."""
    return _table(("mode of a PIL image", "sent"), ((f"`{name}`", mode.meaning) for name, mode in MODES.items()))


def limits_table(_: str = "") -> str:
    """Numbers that decide about pictures and masks."""
    return _table(
        ("limit", "value"),
        (
            ("formats", ", ".join(FORMATS)),
            ("bytes of a file", f"{MAX_PICTURE_BYTES >> 20} MiB"),
            ("pixels", "`Limits.max_pixels`"),
            ("pixels a side", str(MAX_PICTURE_SIDE)),
            ("cICP: numbers of primaries", _numbers(PRIMARIES)),
            ("cICP: numbers of transfer characteristics", _numbers(CURVES)),
            ("nearly certain values of a nearly binary mask", f"to {CERTAIN_OUTSIDE}, from {CERTAIN_INSIDE}"),
            ("largest value of residue", str(FAINT)),
            ("residue is farther from what can be seen than", f"{NEAR:.3g} of the longer side"),
            ("a soft edge is at most as wide as", f"{FAR:.3g} of the longer side"),
            ("part of the known pixels that an exact receipt has compared", f"at least {LEAST_COMPARED:g}"),
        ),
    )


def _numbers(table: Iterable[int]) -> str:
    return ", ".join(map(str, table))


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"

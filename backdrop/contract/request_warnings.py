"""Warnings: what was corrected or ignored in a request that is served; one table pairs reason and meaning."""

from __future__ import annotations

import dataclasses
import enum


class WarningReason(enum.StrEnum):
    """`RequestWarning.reason`: what happened, for programs."""

    RESIDUE_CLEARED = "RESIDUE_CLEARED"
    MASK_SNAPPED = "MASK_SNAPPED"
    MASK_NOT_TURNED = "MASK_NOT_TURNED"
    MASK_MAYBE_INVERTED = "MASK_MAYBE_INVERTED"
    PROFILE_CONVERTED = "PROFILE_CONVERTED"
    PROFILE_IGNORED = "PROFILE_IGNORED"
    FIRST_PICTURE_TAKEN = "FIRST_PICTURE_TAKEN"
    DEPTH_REDUCED = "DEPTH_REDUCED"
    ALPHA_IGNORED = "ALPHA_IGNORED"
    NO_EFFECT = "NO_EFFECT"


# The one table: docs/inputs.md is generated from it.
WARNINGS: dict[WarningReason, str] = {
    WarningReason.RESIDUE_CLEARED: "faint parts of a mask or alpha channel, far from what can be seen, were cleared",
    WarningReason.MASK_SNAPPED: "a nearly binary mask or alpha channel was made certain: 254 counts as 255",
    WarningReason.MASK_NOT_TURNED: "EXIF turned the photo but not its mask, and the size cannot tell whether it fits",
    WarningReason.MASK_MAYBE_INVERTED: "a product's mask marks all corners and most of the photo",
    WarningReason.PROFILE_CONVERTED: "colours were converted to sRGB",
    WarningReason.PROFILE_IGNORED: "a colour profile cannot be used; the colours are taken as sRGB",
    WarningReason.FIRST_PICTURE_TAKEN: "the file holds several stills; the first one is used",
    WarningReason.DEPTH_REDUCED: "16 bits a channel were reduced to 8",
    WarningReason.ALPHA_IGNORED: "the task does not use the picture's alpha channel",
    WarningReason.NO_EFFECT: "a field has no effect on the request",
}


@dataclasses.dataclass(frozen=True)
class RequestWarning:
    """Something that the server corrected or ignored; the pictures were made all the same."""

    reason: str
    """What happened, for programs: a `WarningReason`, or one that only a newer server knows."""
    field: str
    """Path of the request field that it is about, such as "background.mask"."""
    message: str
    """One sentence that says what was done, and what to send instead."""


def warning(reason: WarningReason, field: str, what: str) -> RequestWarning:
    """The warning whose sentence says about `field` that it `what`."""
    return RequestWarning(reason, field, f"{field} {what}.")

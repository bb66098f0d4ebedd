"""The contract's enumerations as callers see them: plain lower-case words."""

from __future__ import annotations

import enum


class Scheduler(enum.StrEnum):
    """The solver that walks the noise schedule."""

    DDIM = "ddim"
    EULER = "euler"
    DPMPP_2M = "dpmpp_2m"
    DDPM = "ddpm"
    LCM = "lcm"
    """For distilled pipelines; at most 50 steps."""
    FLOW_EULER = "flow_euler"
    """For pipelines trained by flow matching."""
    PNDM = "pndm"
    """For pipelines whose folder names PNDM, such as Stable Diffusion 1.5; one model call more than steps."""
    UNKNOWN = "unknown"
    """Only ever received: a solver that this client is too old to know."""


class Priority(enum.StrEnum):
    """Classes of requests; while every class has work, their steps share the GPUs 16 : 4 : 1."""

    INTERACTIVE = "interactive"
    """A person waits for the pictures."""
    STANDARD = "standard"
    """A service waits for the answer."""
    BULK = "bulk"
    """Volume: campaigns, nightly runs."""
    UNKNOWN = "unknown"
    """Only ever received: a class that this client is too old to know."""


class OutputFormat(enum.StrEnum):
    """Encoding of the pictures. Only PNG keeps known pixels exact to the last bit."""

    PNG = "png"
    JPEG = "jpeg"
    WEBP = "webp"
    UNKNOWN = "unknown"
    """Only ever received: a format that this client is too old to know."""


class HorizontalAlignment(enum.StrEnum):
    """Where the cut-out stands from left to right."""

    LEFT = "left"
    CENTER = "center"
    RIGHT = "right"


class VerticalAlignment(enum.StrEnum):
    """Where the cut-out stands from top to bottom."""

    TOP = "top"
    CENTER = "center"
    BOTTOM = "bottom"


class Snap(enum.StrEnum):
    """Sides to which a cut-out snaps."""

    CUT = "cut"
    """Every side on which the product is cut off by its photo's edge."""
    LEFT = "left"
    TOP = "top"
    RIGHT = "right"
    BOTTOM = "bottom"


class ShadowKind(enum.StrEnum):
    """Kinds of shadow."""

    CONTACT = "contact"
    """As in soft light: dark where the product touches the ground, and a pool around it."""
    CAST = "cast"
    """As by a lamp or the sun: the product's outline on the ground, besides a contact shadow."""


class Stage(enum.StrEnum):
    """The parts of a request, in their order."""

    ENCODE = "encode"
    PREPARE = "prepare"
    DENOISE = "denoise"
    DECODE = "decode"
    SCORE = "score"
    SELECT = "select"
    UNKNOWN = "unknown"
    """A stage that this client is too old to know."""


class CompositingMode(enum.StrEnum):
    """How known and made pixels were joined."""

    HARD = "hard"
    SOFT = "soft"
    UNKNOWN = "unknown"
    """A mode that this client is too old to know."""


class MaskSource(enum.StrEnum):
    """Where the mask came from."""

    REQUEST = "request"
    ALPHA = "alpha"
    SEGMENTER = "segmenter"
    UNKNOWN = "unknown"
    """A source that this client is too old to know."""

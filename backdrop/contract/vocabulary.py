"""The contract's enumerations and the names that the code uses for their values."""

from __future__ import annotations

from backdrop.contract.geometry import Side
from backdrop.contract.parts import OutputFormat
from backdrop.v1 import generation_service_pb2 as pb

SCHEDULERS = {
    pb.SCHEDULER_DDIM: "ddim",
    pb.SCHEDULER_EULER: "euler",
    pb.SCHEDULER_DPMPP_2M: "dpmpp_2m",
    pb.SCHEDULER_DDPM: "ddpm",
    pb.SCHEDULER_LCM: "lcm",
    pb.SCHEDULER_FLOW_EULER: "flow_euler",
    pb.SCHEDULER_PNDM: "pndm",
}
SCHEDULER_VALUES = {name: value for value, name in SCHEDULERS.items()}
FORMATS = {
    pb.OUTPUT_FORMAT_UNSPECIFIED: OutputFormat.PNG,
    pb.OUTPUT_FORMAT_PNG: OutputFormat.PNG,
    pb.OUTPUT_FORMAT_JPEG: OutputFormat.JPEG,
    pb.OUTPUT_FORMAT_WEBP: OutputFormat.WEBP,
}
FORMAT_VALUES = {name: value for value, name in FORMATS.items() if value}
HORIZONTAL = {
    pb.HORIZONTAL_ALIGNMENT_UNSPECIFIED: 0.5,
    pb.HORIZONTAL_ALIGNMENT_LEFT: 0.0,
    pb.HORIZONTAL_ALIGNMENT_CENTER: 0.5,
    pb.HORIZONTAL_ALIGNMENT_RIGHT: 1.0,
}
VERTICAL = {
    pb.VERTICAL_ALIGNMENT_UNSPECIFIED: 0.5,
    pb.VERTICAL_ALIGNMENT_TOP: 0.0,
    pb.VERTICAL_ALIGNMENT_CENTER: 0.5,
    pb.VERTICAL_ALIGNMENT_BOTTOM: 1.0,
}
SNAPS = {
    pb.SNAP_CUT: None,
    pb.SNAP_LEFT: Side.LEFT,
    pb.SNAP_TOP: Side.TOP,
    pb.SNAP_RIGHT: Side.RIGHT,
    pb.SNAP_BOTTOM: Side.BOTTOM,
}
"""The side that each names; None where the product's mask says which."""

"""Noise schedules: from diffusers' scheduler configs to the `schedule` of `pipeline.json`."""

from __future__ import annotations

from export.schedule.folder import FolderSchedule, read_schedule

__all__ = ["FolderSchedule", "read_schedule"]

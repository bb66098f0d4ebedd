"""Measurements behind every published figure; each command writes its rows to docs/figures/."""

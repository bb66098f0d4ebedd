"""Backdrop's SDK."""

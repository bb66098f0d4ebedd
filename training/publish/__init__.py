"""Writes the weights folders from checkpoints, and reads them back."""

"""Served pictures against diffusers' own pipeline objects, on folders that those objects saved."""

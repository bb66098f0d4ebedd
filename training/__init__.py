"""Trains the reference weights on a procedural world, one module per stage."""

"""Trains the denoisers, each from the one before it: base, inpaint, product, image adapter, few steps; and the DiT."""

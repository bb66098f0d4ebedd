"""A procedural world: products in scenes, painted from a seed, with masks and captions."""

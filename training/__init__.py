"""How the reference weights are made: a procedural world, and one re-runnable training stage to a module."""

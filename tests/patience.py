"""How long tests wait for what must happen: far longer than it takes, so that other work on the machine fails none."""

PATIENCE_S = 30.0

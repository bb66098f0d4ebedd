"""Writes the complete folder with random weights of the exact architecture, for integrating before training is done."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from training.assemble import manifest, random_parts, write
from training.config import Config


def main() -> None:
    """Writes random weights to `--out`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    config = Config()
    # Four axes of a colour tetrahedron: a preview of random latents should at least be colourful.
    preview = {"factors": [[0.2, 0.1, 0.0], [0.0, 0.2, 0.1], [0.1, 0.0, 0.2], [0.1, 0.1, 0.1]], "bias": [0.5, 0.5, 0.5]}
    write(arguments.out, config, random_parts(config), manifest(config, preview, {}, "nothing: random weights"))


if __name__ == "__main__":
    main()

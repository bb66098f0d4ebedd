"""Writes the complete folders with random weights of the exact architecture, to integrate before training is done."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from training.config import Config
from training.publish import assemble, folders


def main() -> None:
    """Writes random weights below `--out`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder that gets one folder for each pipeline")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for name, folder in assemble.random(Config()).items():
        folders.write(arguments.out / name, folder)


if __name__ == "__main__":
    main()

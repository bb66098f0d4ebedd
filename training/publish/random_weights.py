"""Writes all weights folders with random weights of the same architecture, for work that needs no trained weights."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from training.config import Config
from training.publish import assemble, folders


def main() -> None:
    """Reads the command line and writes the folders."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the pipelines' folders")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for name, folder in assemble.random_folders(Config()).items():
        folders.write(arguments.out / name, folder)


if __name__ == "__main__":
    main()

"""Fuzzes one target with atheris in this process, until libFuzzer's options say stop.

usage: python -m tests.fuzz.child TARGET [libFuzzer's options and folders]
"""

from __future__ import annotations

import random
import sys

import atheris


def main() -> None:
    """Never returns: libFuzzer ends the process."""
    with atheris.instrument_imports(
        include=["backdrop.contract", "backdrop.errors", "backdrop._fake", "orchestrator", "export"]
    ):
        from tests.fuzz.registry import ALL

        target = ALL[sys.argv[1]]()

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        rng = random.Random(seed)
        return target.shape(
            data, min(most, target.longest), rng, lambda part, longest: bytes(atheris.Mutate(part, longest))
        )

    atheris.Setup([sys.argv[0], *sys.argv[2:]], target.run, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

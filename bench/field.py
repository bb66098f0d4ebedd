"""Measures the marks of real inputs and writes them to docs/figures/field.json.

usage: python -m bench.field [NAME …]        (default: every check)
"""

from __future__ import annotations

import functools
import sys

from bench import checks, field_load, field_lora, field_pictures, field_raw, field_rows, schedulers

AREA = "field"


def command(name: str) -> str:
    """What measures the mark again."""
    return f"python -m bench.field {name}"


CHECKS: dict[str, checks.Check] = {
    "rows": functools.partial(field_rows.rows, command("rows")),
    "pictures": functools.partial(field_pictures.pictures, command("pictures")),
    "raw": functools.partial(field_pictures.raw_exceptions, command("raw")),
    "broken": functools.partial(field_raw.raw_exceptions, command("broken")),
    "memory": functools.partial(field_load.memory, command("memory")),
    "refusals": functools.partial(field_load.refusals, command("refusals")),
    "schedulers": functools.partial(schedulers.figures, command("schedulers")),
    "silent-link": functools.partial(field_load.silent_link, command("silent-link")),
    "lora": functools.partial(field_lora.layouts, command("lora")),
}


def main() -> int:
    """Measures the named marks; the exit status is 1 when one is missed."""
    names = checks.parse_names("python -m bench.field", __doc__, [*CHECKS], [*CHECKS])
    return checks.run(AREA, names, CHECKS)


if __name__ == "__main__":
    sys.exit(main())

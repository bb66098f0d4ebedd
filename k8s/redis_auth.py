"""`python -m k8s.redis_auth FOLDER` writes the files of the Secret `redis-auth`: Redis' users and their new passwords.

Each user may run what its program runs, and nothing else; the user without a password may say PING, for probes.
"""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

USERS = {
    "orchestrator": (
        "~* -@all +get +set +exists +del +unlink +type +pexpire +pttl +hget +hset +hgetall +hdel +hincrby +zadd +zcard"
        " +zrem +zrange +zrangebyscore +zremrangebyscore +eval +time +ping +info"
    ),
    # Without SLOWLOG GET and CONFIG, whose answers hold values and paths.
    "exporter": "-@all +ping +info +latency|latest +latency|histogram +slowlog|len",
    # What a replica says; it gets everything.
    "backup": "-@all +ping +sync +psync +replconf",
}
"""Name → what the user may do, in the syntax of Redis' ACL."""
EXPORTER_ADDRESS = "redis://exporter@127.0.0.1:6379"
"""The exporter looks its password up under this name."""


def files(passwords: Mapping[str, str]) -> dict[str, str]:
    """The Secret's keys and their contents.

    Args:
        passwords: of each of `USERS`, without spaces.
    """
    lines = ["user default on nopass resetkeys nocommands +ping"]
    lines += [f"user {name} on >{passwords[name]} {rules}" for name, rules in USERS.items()]
    return {
        "users.acl": "\n".join(lines) + "\n",
        "password": passwords["orchestrator"],
        "exporter.json": json.dumps({EXPORTER_ADDRESS: passwords["exporter"]}) + "\n",
        "backup-password": passwords["backup"],
    }


def main(arguments: list[str] | None = None) -> int:
    """Writes the files into a new folder that only its owner may read; returns 0, or 1 with one sentence on stderr."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m k8s.redis_auth FOLDER\n")
        return 1
    folder = Path(arguments[0])
    if folder.exists():
        sys.stderr.write(f"{folder} exists; name a new folder.\n")
        return 1
    folder.mkdir(mode=0o700)
    for name, text in files({name: secrets.token_hex(32) for name in USERS}).items():
        (folder / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`valkey-cli -h HOST ping`, for a machine that has only the server's wheel."""

from __future__ import annotations

import argparse
import socket
import sys


def main() -> int:
    """Returns 0 if the server answers PONG, as valkey-cli does; argparse's 2 for unknown arguments."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("-h", dest="host", required=True)
    parser.add_argument("-p", dest="port", type=int, default=6379)
    parser.add_argument("question", choices=["ping"])
    options = parser.parse_args()
    try:
        with socket.create_connection((options.host, options.port), 2) as connection:
            connection.sendall(b"PING\r\n")
            return 0 if connection.recv(7) == b"+PONG\r\n" else 1
    except OSError:
        return 1


if __name__ == "__main__":
    sys.exit(main())

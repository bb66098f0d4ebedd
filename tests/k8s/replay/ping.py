"""`valkey-cli [-e] -h HOST ping`, for a machine that has only the server's wheel."""

from __future__ import annotations

import argparse
import socket
import sys


def main() -> int:
    """Returns 0 if the server answers, as valkey-cli does: with -e only if the answer is no error."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("-e", dest="error_status", action="store_true")
    parser.add_argument("-h", dest="host", required=True)
    parser.add_argument("-p", dest="port", type=int, default=6379)
    parser.add_argument("question", choices=["ping"])
    options = parser.parse_args()
    try:
        with socket.create_connection((options.host, options.port), 2) as connection:
            connection.sendall(b"PING\r\n")
            answer = connection.recv(7)
            return 1 if not answer or (options.error_status and answer.startswith(b"-")) else 0
    except OSError:
        return 1


if __name__ == "__main__":
    sys.exit(main())

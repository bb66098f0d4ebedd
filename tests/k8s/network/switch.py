"""A switch in user space: every host is a network namespace with a TUN device, and all packets pass through here.

The kernel's own packet loss (tc netem) is a module that small kernels lack. This switch reads each packet, looks up its
address, and drops it by a rule or at random. It needs only TUN and works the same everywhere.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import random
import select
import socket
import struct
import subprocess
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
_CLONE_NEWNET = 0x40000000
DEVICE = "wire"


class CannotError(Exception):
    """This machine does not allow namespaces or devices; the message says why."""


@dataclass
class Host:
    """A host: its name, its namespace, its address, and the descriptor of its TUN device."""

    name: str
    namespace: str
    address: str
    wire: int = -1


@dataclass
class Switch:
    """Forwards packets between hosts until `stop`.

    Attributes:
        loss: probability that a packet is lost, on every link.
        cut: names of hosts whose link is cut.
        delivered: packets that reached each host.
        lost: packets dropped by chance.
    """

    prefix: str
    seed: int = 0
    loss: float = 0.0
    cut: set[str] = field(default_factory=set)
    delivered: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    hosts: dict[str, Host] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._by_address: dict[bytes, Host] = {}
        self._wake, self._waker = os.pipe()
        self._thread = threading.Thread(target=self._run, name="switch", daemon=True)

    def add(self, name: str) -> Host:
        """Creates a host.

        Raises:
            CannotError: the machine does not allow it.
        """
        number = len(self.hosts) + 1
        host = Host(name, f"{self.prefix}-{name}", f"10.213.7.{number}")
        self.hosts[name] = host
        _ip("netns", "add", host.namespace)
        host.wire = _open_wire(host.namespace)
        for step in (
            ("link", "set", "lo", "up"),
            ("addr", "add", f"{host.address}/24", "dev", DEVICE),
            ("link", "set", DEVICE, "up"),
        ):
            _ip("-n", host.namespace, *step)
        self._by_address[socket.inet_aton(host.address)] = host
        return host

    def start(self) -> None:
        """Starts forwarding."""
        self._thread.start()

    def stop(self) -> None:
        """Stops forwarding and removes every host."""
        os.close(self._waker)
        if self._thread.is_alive():
            self._thread.join()
        os.close(self._wake)
        for host in self.hosts.values():
            if host.wire >= 0:
                os.close(host.wire)
            subprocess.run(["ip", "netns", "del", host.namespace], check=False, capture_output=True)

    def _run(self) -> None:
        sources = {host.wire: host for host in self.hosts.values()}
        while True:
            readable, _, _ = select.select([self._wake, *sources], [], [])
            if self._wake in readable:
                return
            for wire in readable:
                # Reads several packets at once, because select costs more than a packet.
                for _ in range(32):
                    try:
                        packet = os.read(wire, 1 << 16)
                    except BlockingIOError:
                        break
                    self._forward(sources[wire], packet)

    def _forward(self, source: Host, packet: bytes) -> None:
        target = self._by_address.get(packet[16:20])
        if target is None or packet[0] >> 4 != 4 or {source.name, target.name} & self.cut:
            return
        if self._random.random() < self.loss:
            self.lost += 1
            return
        self.delivered[target.name] += 1
        try:
            os.write(target.wire, packet)
        except OSError:
            return  # its queue is full or its device is down: the packet is lost, as on a real network


def _open_wire(namespace: str) -> int:
    """Opens a TUN device inside a namespace; the descriptor works in any namespace."""
    outcome: list[int | OSError] = []

    def inside() -> None:
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            with Path(f"/var/run/netns/{namespace}").open() as place:
                if libc.setns(place.fileno(), _CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "setns")
            wire = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
            fcntl.ioctl(wire, _TUNSETIFF, struct.pack("16sH", DEVICE.encode(), _IFF_TUN | _IFF_NO_PI))
            outcome.append(wire)
        except OSError as problem:
            outcome.append(problem)

    # A namespace belongs to a thread, so this thread enters it and ends there.
    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    if isinstance(outcome[0], OSError):
        raise CannotError(f"no TUN device: {outcome[0]}")
    return outcome[0]


def _ip(*arguments: str) -> None:
    try:
        run = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise CannotError("there is no `ip`") from None
    if run.returncode:
        raise CannotError(f"ip {' '.join(arguments)}: {run.stderr.strip()}")

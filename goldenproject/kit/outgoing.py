"""Connections to hosts that other people name: to the very address that was checked, within a deadline, counted.

The host is resolved once and the connection goes to one of the addresses found: no second look-up could answer otherwise.
Which addresses may be asked is the caller's to say.
"""

from __future__ import annotations

import http.client
import io
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Resolve = Callable[[str, int, float], list[str]]
"""(host, port, timeout in s) → its IP addresses."""
Connect = Callable[[str, int, float], socket.socket]
"""(IP address, port, timeout in s) → a connected socket."""


@dataclass(frozen=True)
class Network:
    """How hosts are resolved and reached. Tests give their own; what is checked in between stays the same."""

    resolve: Resolve = field(default_factory=lambda: _resolve)
    connect: Connect = field(default_factory=lambda: _connect)
    tls: Callable[[], ssl.SSLContext] = ssl.create_default_context


class Deadline:
    """A moment `seconds` from now by which something must be over."""

    def __init__(self, seconds: float) -> None:
        self._ends = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds until then. Raises TimeoutError when it has passed."""
        left = self._ends - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


class TooManyBytes(http.client.HTTPException):
    """The other side sends more than is read."""


def connected(
    host: str,
    port: int,
    *,
    tls: bool,
    network: Network,
    deadline: Deadline,
    checked: Callable[[list[str]], list[str]],
    connect_s: float,
) -> socket.socket:
    """Return a socket to an address of `host`; of several, the first that answers, each given `connect_s` at the most.

    `checked` gets all addresses of the host and returns those that may be asked, or raises. Raises OSError, TimeoutError.
    """
    failure: OSError | None = None
    for ip in checked(network.resolve(host, port, deadline.left())):
        try:
            raw = network.connect(ip, port, min(deadline.left(), connect_s))
        except OSError as error:
            failure = error
            continue
        if not tls:
            return raw
        try:
            raw.settimeout(deadline.left())
            return network.tls().wrap_socket(raw, server_hostname=host)
        except BaseException:
            raw.close()
            raise
    raise failure or OSError(f"the host {host} has no address")


class CountedSocket(io.RawIOBase):
    """A socket as a file whose every read keeps the deadline and whose bytes are counted. `too_many` says what is too long."""

    def __init__(self, raw: socket.socket, deadline: Deadline, allowed: int, too_many: str) -> None:
        self._raw = raw
        self._deadline = deadline
        self._allowed = allowed
        self._too_many = too_many

    def allow(self, more: int) -> None:
        self._allowed = more

    def makefile(self, mode: str) -> io.BufferedReader:
        """What http.client asks of a socket."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._allowed <= 0:
            raise TooManyBytes(self._too_many)
        self._raw.settimeout(self._deadline.left())
        count = self._raw.recv_into(memoryview(buffer)[: self._allowed])
        self._allowed -= count
        return count


def _resolve(host: str, port: int, timeout_s: float) -> list[str]:
    """Ask the system for the addresses of `host`. It knows no time-out, so a thread asks and may be left behind."""
    answers: queue.SimpleQueue[list[str] | OSError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answers.put(list(dict.fromkeys(str(entry[4][0]) for entry in found)))
        except OSError as error:
            answers.put(error)
        except UnicodeError as error:  # a label that the system's IDNA does not take
            answers.put(OSError(str(error)))

    threading.Thread(target=ask, daemon=True, name=f"resolve {host}").start()
    try:
        answer = answers.get(timeout=timeout_s)
    except queue.Empty as error:
        raise TimeoutError from error
    if isinstance(answer, OSError):
        raise answer
    return answer


def _connect(ip: str, port: int, timeout_s: float) -> socket.socket:
    """Connect to the address itself: a literal is not looked up again."""
    return socket.create_connection((ip, port), timeout=timeout_s)

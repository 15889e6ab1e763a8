"""A web server of the test's own, which answers whatever bytes the test says, well-formed or not."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

from goldenproject.kit.outgoing import Network

PUBLIC = "93.184.215.14"
Answer = Callable[[str, dict[str, str]], Iterable[bytes]]


class Server:
    """Answers each request with the parts that `answer(path, headers)` yields, then closes the connection."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.wrap: Callable[[socket.socket], socket.socket] = lambda connection: connection
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def network(self, resolve: Callable[[str], list[str]] = lambda host: [PUBLIC]) -> Network:
        """A network in which every host is this server, whatever its address."""
        return Network(
            resolve=lambda host, port, timeout_s: resolve(host),
            connect=lambda ip, port, timeout_s: socket.create_connection(("127.0.0.1", self.port), timeout_s),
        )

    def stop(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._reply, args=[connection], daemon=True).start()

    def _reply(self, plain: socket.socket) -> None:
        with plain, suppress(OSError), self.wrap(plain) as connection:
            head = b""
            while b"\r\n\r\n" not in head:
                part = connection.recv(65536)
                if not part:
                    return
                head += part
            first, *lines = head.decode("latin-1").split("\r\n\r\n")[0].split("\r\n")
            headers = dict(line.split(": ", 1) for line in lines)
            path = first.split(" ")[1]
            self.requests.append((path, headers))
            for part in self.answer(path, headers):
                connection.sendall(part)


def page(body: bytes, *headers: str, status: str = "200 OK") -> Iterator[bytes]:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    if not any(line.lower().startswith("content-type") for line in headers):
        lines.append("Content-Type: text/html; charset=utf-8")
    yield "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def redirect(location: str, status: str = "302 Found") -> Iterator[bytes]:
    return page(b"", f"Location: {location}", status=status)


@contextmanager
def serving() -> Iterator[Callable[[Answer], Server]]:
    """Yield what starts servers; they stop with the block."""
    started: list[Server] = []

    def start(answer: Answer) -> Server:
        started.append(Server(answer))
        return started[-1]

    try:
        yield start
    finally:
        for server in started:
            server.stop()

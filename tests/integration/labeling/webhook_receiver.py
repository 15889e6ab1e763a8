"""A web server that takes webhook messages, and answers as the test says."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@dataclass
class Receiver:
    """What came, and what is answered: the statuses one after the other, then 200 for ever."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    answer: bytes = b"thank you"
    headers: dict[str, str] = field(default_factory=dict)
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    before_answer: Callable[[], object] = lambda: None
    go_on: threading.Event = field(default_factory=threading.Event)
    """Set, unless the test wants to do something before anything is answered."""

    @property
    def deliveries(self) -> list[str]:
        return [headers["golden-delivery"] for headers, _ in self.got]


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()
    receiver.go_on.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
            receiver.go_on.wait(30)
            receiver.before_answer()
            with suppress(OSError):  # whoever asked may be gone
                self.send_response(receiver.statuses.pop(0) if receiver.statuses else 200)
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(receiver.answer)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}/golden?from=here"
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def receiver(settings) -> Iterator[Receiver]:  # type: ignore[no-untyped-def]
    """A receiver that the installation may send to."""
    settings.GOLDEN_WEBHOOK_PRIVATE_HOSTS = ["127.0.0.1"]
    with receiving() as found:
        yield found

"""A small OpenAI-compatible embeddings server for tests: real HTTP on this machine, told how to misbehave."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DIMENSION = 8


def hash_vector(text: str, dimension: int = DIMENSION) -> list[float]:
    """Return a vector that depends on the text alone: each number from -1 to 1, never all zero."""
    digest = hashlib.shake_256(text.encode()).digest(dimension)
    return [(byte - 127.5) / 127.5 for byte in digest]


@dataclass(frozen=True)
class Reply:
    """One answer: `body` is sent as it is, or as JSON when it is no bytes; `hang` sends nothing until the end."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    hang: bool = False


@dataclass(frozen=True)
class Request:
    """What was asked: the JSON document, the headers in lower case, and the path."""

    document: Any
    headers: dict[str, str]
    path: str

    @property
    def texts(self) -> list[str]:
        return self.document["input"]


@dataclass
class EmbeddingServer:
    """`replies` are given in turn, then `answer` for ever; a reply or answer may be a function of the request."""

    address: str = ""
    requests: list[Request] = field(default_factory=list)
    replies: list[Reply | Callable[[Request], Reply]] = field(default_factory=list)
    dimension: int = DIMENSION
    stopping: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def options(self, **more: Any) -> dict[str, Any]:
        """Return the options of an EmbeddingModel that is served here."""
        return {"base_url": f"{self.address}/v1", "model": "hashes", **more}

    def good(self, request: Request) -> Reply:
        data = [
            {"object": "embedding", "index": place, "embedding": hash_vector(text, self.dimension)}
            for place, text in enumerate(request.texts)
        ]
        return Reply(body={"object": "list", "data": data, "model": request.document["model"]})

    def reply_to(self, request: Request) -> Reply:
        with self.lock:
            self.requests.append(request)
            reply = self.replies.pop(0) if self.replies else self.good
        return reply(request) if callable(reply) else reply


def vectors(*rows: Any, indexes: list[Any] | None = None) -> Reply:
    """Return a good-looking answer with these vectors."""
    places = indexes if indexes is not None else range(len(rows))
    data = [{"index": place, "embedding": row} for place, row in zip(places, rows, strict=True)]
    return Reply(body=json.dumps({"data": data}).encode())


@contextmanager
def serving() -> Iterator[EmbeddingServer]:
    """Serve on a free port of this machine until the block ends."""
    served = EmbeddingServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers.get("content-length", 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = served.reply_to(Request(json.loads(self.rfile.read(length)), headers, self.path))
            if reply.hang:
                served.stopping.wait(30)
                self.close_connection = True
                return
            body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            try:
                self.send_response(reply.status)
                for name, value in {"Content-Length": str(len(body)), **reply.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # the client has read enough

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    served.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield served
    finally:
        served.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join()

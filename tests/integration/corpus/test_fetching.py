"""Fetching sources from real servers: what comes back, and every way in which a URL could reach inside."""

from __future__ import annotations

import gzip
import hashlib
import ipaddress
import socket
import ssl
import threading
import zlib
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from datasets_app.errors import SourceRefused, SourceUnreachable
from datasets_app.services.corpus.fetching import FetchLimits, fetch_source
from goldenproject.kit.clock import now
from goldenproject.kit.outgoing import Network
from tests.integration.corpus.web_server import PUBLIC, Server, page, redirect, serving

Serve = Callable[..., Server]
URL = "http://docs.golden.dev/a"
SMALL = FetchLimits(deadline_s=5, max_body_bytes=100_000, max_header_bytes=20_000)


@pytest.fixture
def serve() -> Iterator[Serve]:
    with serving() as start:
        yield start


def sha(text: str | bytes) -> str:
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()


def test_fetch_source__web_page__hash_of_its_visible_text(serve: Serve) -> None:
    body = (
        "<title>T</title><script nonce='1'>x()</script><nav>menu</nav><p>Héllo &amp; <b>all</b></p>".encode()
    )
    server = serve(lambda path, headers: page(body))
    found = fetch_source("http://docs.golden.dev/ä?q=1#part", SMALL, network=server.network())
    assert found.url == "http://docs.golden.dev/ä?q=1#part"
    assert found.final_url == "http://docs.golden.dev/%C3%A4?q=1"
    assert (found.http_status, found.content_type, found.size_bytes) == (200, "text/html", len(body))
    assert found.content_sha256 == sha("T Héllo & all")


def test_fetch_source__request__no_cookies_no_credentials_real_host(serve: Serve) -> None:
    server = serve(lambda path, headers: page(b"x", "Set-Cookie: a=b"))
    fetch_source(URL, SMALL, network=server.network())
    path, headers = server.requests[0]
    assert path == "/a"
    assert headers.pop("User-Agent") == "golden-datasets source check"
    assert headers == {
        "Host": "docs.golden.dev",
        "Accept": "text/html,*/*;q=0.5",
        "Accept-Encoding": "gzip, deflate",
        "Connection": "close",
    }


def test_fetch_source__other_type__hash_of_its_bytes(serve: Serve) -> None:
    server = serve(lambda path, headers: page(b"<b>1</b>", "Content-Type: application/pdf"))
    assert fetch_source(URL, SMALL, network=server.network()).content_sha256 == sha(b"<b>1</b>")


def test_fetch_source__charset_of_the_header__decoded(serve: Serve) -> None:
    server = serve(lambda path, headers: page(b"\xe9", "Content-Type: text/html; charset=iso-8859-1"))
    assert fetch_source(URL, SMALL, network=server.network()).content_sha256 == sha("é")


def chunked(*parts: bytes) -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
    for part in parts:
        yield f"{len(part):x}\r\n".encode() + part + b"\r\n"


def test_fetch_source__chunked__whole_body(serve: Serve) -> None:
    server = serve(lambda path, headers: chunked(b"one ", b"two", b""))
    assert fetch_source(URL, SMALL, network=server.network()).content_sha256 == sha("one two")


@pytest.mark.parametrize(
    ("encoding", "fold"),
    [
        ("gzip", gzip.compress),
        ("x-gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", lambda body: zlib.compress(body)[2:-4]),
        ("gzip", lambda body: gzip.compress(body[:5]) + gzip.compress(body[5:])),
        ("gzip", lambda body: gzip.compress(body) + bytes(8)),
    ],
)
def test_fetch_source__compressed__unfolded(
    serve: Serve, encoding: str, fold: Callable[[bytes], bytes]
) -> None:
    body = b"hello " * 15_000
    server = serve(
        lambda path, headers: page(fold(body), "Content-Type: text/plain", f"Content-Encoding: {encoding}")
    )
    found = fetch_source(URL, SMALL, network=server.network())
    assert (found.content_sha256, found.size_bytes) == (sha(body), len(body))


@pytest.mark.parametrize("status", ["404 Not Found", "410 Gone", "500 Oops"])
def test_fetch_source__other_status__returned(serve: Serve, status: str) -> None:
    server = serve(lambda path, headers: page(b"no", status=status))
    assert fetch_source(URL, SMALL, network=server.network()).http_status == int(status[:3])


def test_fetch_source__redirects__followed_and_told(serve: Serve) -> None:
    answers = {
        "/a": lambda: redirect("/b", "301 Moved Permanently"),
        "/b": lambda: redirect("//other.golden.dev/c", "307 Temporary Redirect"),
        "/c": lambda: page(b"here"),
    }
    server = serve(lambda path, headers: answers[path]())
    found = fetch_source(URL, SMALL, network=server.network())
    assert found.final_url == "http://other.golden.dev/c"
    assert [headers["Host"] for _, headers in server.requests] == [
        "docs.golden.dev",
        "docs.golden.dev",
        "other.golden.dev",
    ]


def test_fetch_source__endless_redirects__told_after_five(serve: Serve) -> None:
    server = serve(lambda path, headers: redirect(f"{path}a"))
    with pytest.raises(SourceUnreachable, match="redirects more than 5 times"):
        fetch_source(URL, SMALL, network=server.network())
    assert len(server.requests) == 6


@pytest.mark.parametrize(
    ("location", "told"),
    [
        ("http://127.0.0.1/", "loopback"),
        ("http://0x7f.1/", "odd spelling"),
        ("http://localhost/", "reserved"),
        ("http://169.254.169.254/latest/meta-data/", "link-local"),
        ("http://[::ffff:127.0.0.1]/", "IPv4-mapped"),
        ("http://[64:ff9b::7f00:1]/", "NAT64"),
        ("http://[2002:7f00:1::]/", "6to4"),
        ("file:///etc/passwd", "“file”"),
        ("gopher://docs.golden.dev/", "“gopher”"),
        ("ftp://docs.golden.dev/", "“ftp”"),
        ("http://user:pw@docs.golden.dev/", "user name or password"),
        ("http://docs.golden.dev:22/", "port 22 is none of 80, 443"),
        ("http://[::1", "which is no URL"),
    ],
)
def test_fetch_source__redirect_inside__refused(serve: Serve, location: str, told: str) -> None:
    server = serve(lambda path, headers: redirect(location))
    with pytest.raises(SourceRefused, match=told):
        fetch_source(URL, SMALL, network=server.network())
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.7",
        "169.254.169.254",
        "::1",
        "64:ff9b::a00:1",
        "2002:a00:1::",
        "224.0.0.1",
        "nonsense",
    ],
)
def test_fetch_source__host_with_a_private_address__refused_before_connecting(
    serve: Serve, address: str
) -> None:
    server = serve(lambda path, headers: page(b"secret"))
    with pytest.raises(SourceRefused, match="docs.golden.dev is not fetched: its address"):
        fetch_source(URL, SMALL, network=server.network(lambda host: [PUBLIC, address]))
    assert server.requests == []


def test_fetch_source__rebinding_resolver__connects_to_what_was_checked(serve: Serve) -> None:
    server = serve(lambda path, headers: page(b"x"))
    answers = iter([[PUBLIC], ["127.0.0.1"]])
    asked: list[str] = []
    connected: list[str] = []

    def resolve(host: str, port: int, timeout_s: float) -> list[str]:
        asked.append(host)
        return next(answers)

    def connect(ip: str, port: int, timeout_s: float) -> socket.socket:
        connected.append(ip)
        return socket.create_connection(("127.0.0.1", server.port), timeout_s)

    fetch_source(URL, SMALL, network=Network(resolve=resolve, connect=connect))
    assert (asked, connected) == (["docs.golden.dev"], [PUBLIC])


def test_fetch_source__rebinding_on_redirect_to_itself__refused(serve: Serve) -> None:
    server = serve(lambda path, headers: redirect("/again"))
    answers = iter([[PUBLIC], ["192.168.0.1"]])
    with pytest.raises(SourceRefused, match=r"192\.168\.0\.1 is not public \(private\)"):
        fetch_source(URL, SMALL, network=server.network(lambda host: next(answers)))
    assert len(server.requests) == 1


def test_fetch_source__default_network__refuses_the_loopback_server(serve: Serve) -> None:
    server = serve(lambda path, headers: page(b"secret"))
    limits = FetchLimits(ports=frozenset({server.port}))
    for host in ("127.0.0.1", "localhost", "127.1", "[::1]", "[::ffff:127.0.0.1]"):
        with pytest.raises(SourceRefused):
            fetch_source(f"http://{host}:{server.port}/", limits)
    assert server.requests == []


def test_fetch_source__proxy_of_the_environment__not_asked(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, proxy = (serve(lambda path, headers: page(b"x")) for _ in range(2))
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
    fetch_source(URL, SMALL, network=server.network())
    assert (len(server.requests), proxy.requests) == (1, [])


@pytest.mark.parametrize(
    "url", ["ftp://docs.golden.dev/", "file:///etc/passwd", "docs.golden.dev", "", "http://"]
)
def test_fetch_source__odd_scheme__refused(url: str) -> None:
    with pytest.raises(SourceRefused):
        fetch_source(url, SMALL)


def endless(head: bytes, part: bytes) -> Iterator[bytes]:
    yield head
    while True:
        yield part


@pytest.mark.parametrize(
    ("head", "part", "told"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 10_000, "more than 100000 bytes"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", b"x" * 10_000, "more than 100000 bytes"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", "more bytes than are read"),
        (b"HTTP/1.1 200 OK\r\n", b"A: b\r\n", "headers"),
        (b"HTTP/1.1 200 OK\r\nA: ", b"x" * 10_000, "more bytes than are read"),
        (b"HTTP/1.1 200 OK\r\nA: ", b"x" * 1000 + b"\r\nA: ", "more bytes than are read"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n", "more bytes than are read"),
        (b"", b"nonsense ", "more bytes than are read|nonsense"),
    ],
)
def test_fetch_source__endless_answer__cut(serve: Serve, head: bytes, part: bytes, told: str) -> None:
    server = serve(lambda path, headers: endless(head, part))
    with pytest.raises(SourceUnreachable, match=told):
        fetch_source(URL, SMALL, network=server.network())


def test_fetch_source__gzip_bomb__cut_while_unfolding(serve: Serve) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    assert len(bomb) < SMALL.max_body_bytes
    server = serve(lambda path, headers: page(bomb, "Content-Encoding: gzip"))
    with pytest.raises(SourceUnreachable, match="its body is more than 100000 bytes"):
        fetch_source(URL, SMALL, network=server.network())


@pytest.mark.parametrize(
    ("body", "encoding", "told"),
    [
        (b"no gzip", "gzip", "its body is no gzip"),
        (gzip.compress(b"x" * 1000, mtime=0)[:-12], "gzip", "ends too early"),
        (b"x", "br", "encoded as “br”"),
    ],
    ids=["no gzip", "cut off", "another coding"],
)
def test_fetch_source__broken_compression__told(serve: Serve, body: bytes, encoding: str, told: str) -> None:
    server = serve(lambda path, headers: page(body, f"Content-Encoding: {encoding}"))
    with pytest.raises(SourceUnreachable, match=told):
        fetch_source(URL, SMALL, network=server.network())


@pytest.mark.parametrize(
    "answer",
    [
        [b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort"],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nsho"],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nsho"],
        [b"SSH-2.0-OpenSSH_9.2\r\n"],
        [b""],
    ],
)
def test_fetch_source__broken_answer__told(serve: Serve, answer: list[bytes]) -> None:
    server = serve(lambda path, headers: answer)
    with pytest.raises(SourceUnreachable, match=r"^http://docs\.golden\.dev/a: "):
        fetch_source(URL, SMALL, network=server.network())


def test_fetch_source__slow_drip__ends_at_the_deadline(serve: Serve) -> None:
    released = threading.Event()

    def drip(path: str, headers: Any) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
        while not released.wait(0.02):  # each byte in time for a limit per read
            yield b"x"

    server = serve(drip)
    limits = FetchLimits(deadline_s=0.25)
    with pytest.raises(SourceUnreachable, match=r"no answer within 0\.25 s"):
        fetch_source(URL, limits, network=server.network())
    released.set()


def test_fetch_source__slow_resolver__ends_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: released.wait(5) and [])
    with pytest.raises(SourceUnreachable, match=r"no answer within 0\.1 s"):
        fetch_source(URL, FetchLimits(deadline_s=0.1))
    released.set()


def test_fetch_source__dead_address__the_next_one_is_asked(serve: Serve) -> None:
    server = serve(lambda path, headers: page(b"x"))
    reach = server.network().connect

    def connect(ip: str, port: int, timeout_s: float) -> socket.socket:
        if ip == PUBLIC:
            raise ConnectionRefusedError("refused")
        return reach(ip, port, timeout_s)

    network = Network(resolve=lambda host, port, timeout_s: [PUBLIC, "8.8.8.8"], connect=connect)
    assert fetch_source(URL, SMALL, network=network).http_status == 200


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """Make a self-signed certificate of `name`; return its file and its key's."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now() - timedelta(days=1))
        .not_valid_after(now() + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = folder / "cert.pem", folder / "key.pem"
    files[0].write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return files


@pytest.fixture
def secure(serve: Serve, tmp_path: Path) -> Callable[..., tuple[Server, Network]]:
    """Start a server behind TLS as docs.golden.dev, and a network that trusts its certificate."""

    def start(answer: Any) -> tuple[Server, Network]:
        cert, key = certificate(tmp_path, "docs.golden.dev")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        server = serve(answer)
        server.wrap = lambda connection: context.wrap_socket(connection, server_side=True)
        plain = server.network()
        trusting = Network(
            plain.resolve, plain.connect, tls=lambda: ssl.create_default_context(cafile=str(cert))
        )
        return server, trusting

    return start


def test_fetch_source__https__checked_against_the_real_name(secure: Any) -> None:
    _, network = secure(lambda path, headers: page(b"x"))
    assert fetch_source("https://docs.golden.dev/", SMALL, network=network).http_status == 200
    with pytest.raises(SourceUnreachable, match="certificate verify failed"):
        fetch_source("https://other.golden.dev/", SMALL, network=network)


def test_fetch_source__https_with_the_default_trust__refuses_the_unknown(secure: Any) -> None:
    server, _ = secure(lambda path, headers: page(b"x"))
    with pytest.raises(SourceUnreachable, match="certificate verify failed"):
        fetch_source("https://docs.golden.dev/", SMALL, network=server.network())


def test_fetch_source__redirect_from_https_to_http__refused(secure: Any) -> None:
    _, network = secure(lambda path, headers: redirect("http://docs.golden.dev/plain"))
    with pytest.raises(SourceRefused, match="redirects from https to http"):
        fetch_source("https://docs.golden.dev/", SMALL, network=network)


def test_public_address_of_the_tests__is_public() -> None:
    assert ipaddress.ip_address(PUBLIC).is_global

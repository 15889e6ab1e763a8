"""Fetch the source of an analysis again, without letting its URL reach into this network.

A URL is other people's text, and so is every redirect. Therefore: http and https on named ports only; the host is
resolved once, every address found must be public, and the connection goes to the very address that was checked (no
second look-up that could answer otherwise); redirects are followed by hand, each checked anew; a deadline and caps bound
time, headers, body and what a compressed body unfolds to. No cookies, credentials or proxies of the environment.
"""

from __future__ import annotations

import hashlib
import http.client
import socket
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urljoin

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from datasets_app.domain.public_addresses import first_not_public
from datasets_app.domain.url_contract import UrlRules, UrlTrouble, WebAddress, violation, web_address
from datasets_app.domain.visible_text import decoded, visible_text
from datasets_app.errors import SourceRefused, SourceUnreachable
from goldenproject.kit.outgoing import CountedSocket, Deadline, Network, TooManyBytes, connected

USER_AGENT = "golden-datasets source check"
_NO_PATTERNS = UrlRules(())  # whether a URL looks like a placeholder does not matter for fetching
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HTML = frozenset({"text/html", "application/xhtml+xml"})
_BLOCK = 65536
_CONNECT_S = 8.0  # for one address, so that a dead one leaves time for the next


@dataclass(frozen=True)
class FetchLimits:
    """What one fetch may cost, redirects included."""

    deadline_s: float = 30.0
    max_redirects: int = 5
    max_header_bytes: int = 64 * 1024
    max_body_bytes: int = 20 * 1024 * 1024
    """Of the body as it is sent, and again of what it unfolds to."""
    ports: frozenset[int] = frozenset({80, 443})


@dataclass(frozen=True)
class FetchedSource:
    """What a URL gave. `content_sha256` is of the visible text of a web page, of the bytes of anything else."""

    url: str
    final_url: str
    http_status: int
    content_type: str
    content_sha256: str
    size_bytes: int
    """Of the body, unfolded."""


def configured_limits() -> FetchLimits:
    """Return the limits with the ports of GOLDEN_SOURCE_PORTS. Raises ImproperlyConfigured."""
    words = settings.GOLDEN_SOURCE_PORTS
    if not all(word.isdecimal() and 1 <= int(word) <= 65535 for word in words):
        raise ImproperlyConfigured(
            f"GOLDEN_SOURCE_PORTS: found {','.join(words)!r}, expected ports such as 80,443."
        )
    return FetchLimits(ports=frozenset(map(int, words)))


def fetch_source(
    url: str, limits: FetchLimits | None = None, *, network: Network | None = None
) -> FetchedSource:
    """Fetch `url`, following redirects. An answer of any other status is returned, not raised.

    Raises SourceRefused when the URL or a redirect leads where nothing may be fetched, SourceUnreachable when the
    fetch fails or costs more than `limits`.
    """
    limits = limits or configured_limits()
    network = network or Network()
    deadline = Deadline(limits.deadline_s)
    current = _allowed(url, limits)
    for _ in range(limits.max_redirects + 1):
        with _Exchange(current, limits, network, deadline) as exchange:
            location = exchange.location
            if location is None:
                return exchange.read(url)
        following = _allowed(_joined(current.url, location), limits)
        if current.scheme == "https" and following.scheme == "http":
            raise SourceRefused(f"{current.url} redirects from https to http: {following.url[:200]}")
        current = following
    raise SourceUnreachable(f"{url} redirects more than {limits.max_redirects} times.")


def _joined(base: str, location: str) -> str:
    try:
        return urljoin(base, location)
    except ValueError as error:
        raise SourceRefused(f"{base} redirects to “{location[:200]}”, which is no URL.") from error


def _allowed(url: str, limits: FetchLimits) -> WebAddress:
    """Take apart a URL that may be fetched. Raises SourceRefused."""
    reason = violation(url, _NO_PATTERNS)
    if reason:
        raise SourceRefused(f"{url[:200]} is not fetched: {reason}.", reason=reason)
    try:
        address = web_address(url)
    except UrlTrouble as trouble:  # pragma: no cover - violation() has told it already
        raise SourceRefused(str(trouble)) from trouble
    if address.port not in limits.ports:
        allowed = ", ".join(map(str, sorted(limits.ports)))
        raise SourceRefused(
            f"{url[:200]} is not fetched: port {address.port} is none of {allowed}.",
            hint="GOLDEN_SOURCE_PORTS names the ports that may be asked.",
        )
    return address


class _Exchange:
    """One request and its answer, to one checked address. A context: it closes the connection."""

    def __init__(
        self, address: WebAddress, limits: FetchLimits, network: Network, deadline: Deadline
    ) -> None:
        self._address = address
        self._limits = limits
        self._network = network
        self._deadline = deadline
        self._socket: socket.socket | None = None

    def __enter__(self) -> _Exchange:
        try:
            with self._telling():
                self._send(self._connected())
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()

    @property
    def location(self) -> str | None:
        """Where the answer redirects to; None when it does not."""
        if self._response.status not in _REDIRECTS:
            return None
        # http.client reads headers as Latin-1; servers send UTF-8
        found = self._response.getheader("Location")
        return None if not found else found.encode("latin-1").decode(errors="replace").strip()

    def read(self, asked: str) -> FetchedSource:
        """Read the body and return what there is to know of it."""
        content_type = self._response.headers.get_content_type()
        with self._telling():
            if content_type in _HTML:
                body = b"".join(self._body())
                charset = self._response.headers.get_param("charset", "")
                text = visible_text(decoded(body, charset if isinstance(charset, str) else ""))
                digest, size = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest(), len(body)
            else:
                sha, size = hashlib.sha256(), 0
                for part in self._body():
                    sha.update(part)
                    size += len(part)
                digest = sha.hexdigest()
        return FetchedSource(asked, self._address.url, self._response.status, content_type, digest, size)

    def _telling(self) -> _Telling:
        return _Telling(self._address.url, self._limits.deadline_s)

    def _connected(self) -> socket.socket:
        """Return a socket to an address of the host that was checked."""
        host = self._address.host
        self._socket = connected(
            host,
            self._address.port,
            tls=self._address.scheme == "https",
            network=self._network,
            deadline=self._deadline,
            checked=lambda ips: _checked(ips, host),
            connect_s=_CONNECT_S,
        )
        return self._socket

    def _send(self, raw: socket.socket) -> None:
        request = (
            f"GET {self._address.target} HTTP/1.1\r\nHost: {self._address.authority}\r\n"
            f"User-Agent: {USER_AGENT}\r\nAccept: text/html,*/*;q=0.5\r\nAccept-Encoding: gzip, deflate\r\n"
            "Connection: close\r\n\r\n"
        )
        raw.settimeout(self._deadline.left())
        raw.sendall(request.encode("ascii"))
        self._wire = CountedSocket(
            raw, self._deadline, self._limits.max_header_bytes, "it sends more bytes than are read"
        )
        self._response = http.client.HTTPResponse(self._wire, method="GET")  # type: ignore[arg-type]
        self._response.begin()
        self._wire.allow(self._limits.max_body_bytes + _BLOCK)

    def _body(self) -> Iterator[bytes]:
        """Yield the unfolded body in parts."""
        size = 0
        encoding = (self._response.getheader("Content-Encoding") or "identity").strip().lower()
        for part in _unfolded(iter(lambda: self._response.read(_BLOCK), b""), encoding):
            size += len(part)
            if size > self._limits.max_body_bytes:
                raise TooManyBytes(f"its body is more than {self._limits.max_body_bytes} bytes")
            yield part
        if self._response.length:  # http.client is silent about this when it reads in parts
            raise http.client.IncompleteRead(b"", self._response.length)


def _checked(addresses: list[str], host: str) -> list[str]:
    """Return the addresses when every one of them is public. Raises SourceRefused.

    One private address among public ones is how a name is made to lead inside, so then none of them is asked.
    """
    if found := first_not_public(addresses):
        ip, reason = found
        raise SourceRefused(
            f"{host} is not fetched: its address {ip} is not public ({reason}).", reason=reason
        )
    return addresses


class _Unfolding(Exception):
    """The body is not compressed as it says."""


class _Telling:
    """Turns what can go wrong with a connection into SourceUnreachable, naming the URL."""

    def __init__(self, url: str, deadline_s: float) -> None:
        self._url = url
        self._deadline_s = deadline_s

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, TimeoutError):
            raise SourceUnreachable(f"{self._url}: no answer within {self._deadline_s:g} s.") from error
        if isinstance(error, OSError | http.client.HTTPException | _Unfolding | ValueError):
            cause = str(error) or type(error).__name__
            raise SourceUnreachable(f"{self._url}: {cause[:300]}.") from error


def _unfolded(parts: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """Yield the decompressed body, never more than a block at a time: a bomb is noticed while it unfolds."""
    if encoding in ("", "identity"):
        yield from parts
        return
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise _Unfolding(f"its body is encoded as “{encoding[:40]}”, which was not asked for")
    window = 47 if "gzip" in encoding else 15
    unfold = zlib.decompressobj(window)
    began = False
    try:
        for part in parts:
            if not began and window == 15 and part[0] & 0x0F != 8:
                unfold = zlib.decompressobj(-15)  # deflate without its header, as many servers send it
            began = True
            while part:
                if unfold.eof:
                    if window == 15 or not part.startswith(b"\x1f\x8b"):
                        break  # padding
                    unfold = zlib.decompressobj(window)  # gzip may have several members
                yield unfold.decompress(part, _BLOCK)
                part = unfold.unconsumed_tail or unfold.unused_data
        while not unfold.eof and (rest := unfold.decompress(b"", _BLOCK)):
            yield rest
    except zlib.error as error:
        raise _Unfolding(f"its body is no {encoding}") from error
    if began and not unfold.eof:
        raise _Unfolding("its body ends too early")

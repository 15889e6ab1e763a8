"""The URL contract: an analysis names the real, public, canonical URL of its source, never a placeholder.

`canonical_url` gives spellings of one address one text (RFC 3986 section 6, and what browsers do with hosts);
`violation` tells in words why a URL breaks the contract. Neither asks the network.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import unquote, urlsplit

from datasets_app.domain.public_addresses import why_not_public

MAX_LENGTH = 2048
DEFAULT_PORTS = {"http": 80, "https": 443}
DEFAULT_PATTERNS = (
    r"placeholder",
    r"\b(change|replace)[-_]?me\b",
    r"(?-i:\bTODO\b)|[/=]todo/?$",
    r"\b(tbd|fixme|lorem[-_]?ipsum)\b",
    r"//([^/]*\.)?(your[-_]?(host|server|app|org|blog)|(your|my)[-_]?(domain|site|website|company))\b",
    r"[/=]your[-_](domain|site|website|company|host|server|app|org|url|link|path|page|file)(?![a-z0-9-])",
    r"//(www\.)?(domain|website|foo|bar|foobar|dummy|fake|sample)\.(com|org|net)(?=[:/]|$)",
    r"\bx{4,}\b",
    r"<[^>]*>",
    r"\{[^}]*\}",
    r"\[[a-z _-]+\]",
    r"%s\b(?!\w)|\$\w+\b(?=/|$)",
    r"/\.{3}(?=/|$)|…",
)
# what nobody can register: RFC 2606, RFC 6761, RFC 6762, RFC 7686, RFC 8375, and what ICANN keeps from delegation
_RESERVED_DOMAINS = ("example.com", "example.org", "example.net", "example.edu", "home.arpa")
_RESERVED_TLDS = frozenset(
    [
        "test",
        "invalid",
        "example",
        "localhost",
        "local",
        "internal",
        "onion",
        "alt",
        "lan",
        "home",
        "corp",
        "mail",
        "intranet",
        "private",
        "localdomain",
    ]
)
_TRACKING = re.compile(
    r"(utm_[a-z0-9_]*|gclid|gclsrc|dclid|gbraid|wbraid|fbclid|msclkid|yclid|twclid|ttclid|igshid|mc_cid|mc_eid"
    r"|_hsenc|_hsmi|mkt_tok|vero_id)",
    re.IGNORECASE,
)
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_TRIPLET = re.compile(r"%([0-9A-Fa-f]{2})|(.)", re.DOTALL)
_PATH_SAFE = _UNRESERVED | frozenset("!$&'()*+,;=:@/")
_QUERY_SAFE = _PATH_SAFE | frozenset("?")
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp", "Zs"})


@dataclass(frozen=True)
class UrlRules:
    """What is configurable of the contract: regular expressions that no URL may match, whatever the case."""

    patterns: tuple[str, ...] = DEFAULT_PATTERNS


class UrlTrouble(ValueError):
    """A URL that is no absolute address of a web page; the message says why, with what was found."""


@dataclass(frozen=True)
class WebAddress:
    """A URL taken apart: `host` is ASCII (an IPv6 address without brackets), `path` and `query` are percent-encoded."""

    scheme: str
    host: str
    port: int
    path: str
    query: str
    odd_host: str = ""
    """The host as it was written, when it is an IPv4 address in an odd spelling."""

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def target(self) -> str:
        """What a request asks the host for: path and query."""
        return f"{self.path}?{self.query}" if self.query else self.path

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


def violation(url: str, rules: UrlRules) -> str:
    """Return why `url` breaks the contract, with what was found; "" when it keeps it.

    That another analysis has the same canonical URL is for the database to see, not for this function.
    """
    if not url:
        return "the URL is empty"
    if len(url) > MAX_LENGTH:
        return f"the URL has {len(url)} characters, more than {MAX_LENGTH}"
    try:
        address = web_address(url)
    except UrlTrouble as trouble:
        return str(trouble)
    return _why_host_not_public(address) or _placeholder(url, rules) or _too_long(address)


def same_source_as(analysis: object) -> str:
    """Return the violation of a URL whose canonical form another analysis has already."""
    return f"analysis {analysis} has the same canonical URL"


def canonical_url(url: str) -> str:
    """Return the one spelling of `url`; as it is when it is no absolute http(s) URL. Idempotent.

    Scheme and host in lower case (IDNA, IPv4 in four decimals, IPv6 shortest), no default port, no dot segments, no
    needless percent-encoding, no fragment, no parameters that only track visitors; `/` for an empty path.
    """
    try:
        address = web_address(url)
    except UrlTrouble:
        return url
    parts = address.query.split("&")
    kept = [part for part in parts if not _TRACKING.fullmatch(part.partition("=")[0])]
    query = "&".join(kept)
    return WebAddress(address.scheme, address.host, address.port, address.path, query).url


def web_address(url: str) -> WebAddress:
    """Take an absolute http(s) URL apart. Raises UrlTrouble. Total: there is no other exception."""
    _refuse_characters(url)
    try:
        parts = urlsplit(url)
        netloc = parts.netloc
    except ValueError as error:
        raise UrlTrouble(f"the URL cannot be read ({error})") from error
    scheme = parts.scheme.lower()
    if scheme not in DEFAULT_PORTS:
        found = f"found the scheme “{scheme}”" if scheme else "found no scheme"
        raise UrlTrouble(f"expected an absolute http or https URL, {found}")
    if not netloc:
        raise UrlTrouble("expected an absolute http or https URL, found no host")
    if "@" in netloc:
        raise UrlTrouble("the URL carries a user name or password before its host")
    written, port = _host_and_port(netloc, scheme)
    host, odd = _host(written)
    path = _without_dot_segments(_encoded(parts.path, _PATH_SAFE)) or "/"
    return WebAddress(scheme, host, port, path, _encoded(parts.query, _QUERY_SAFE), odd)


def _refuse_characters(url: str) -> None:
    if url.isascii() and url.isprintable() and " " not in url and "\\" not in url:
        return
    for character in url:
        if character == "\\" or unicodedata.category(character) in _INVISIBLE:
            name = unicodedata.name(character, "control character").lower()
            raise UrlTrouble(f"the URL holds U+{ord(character):04X} ({name}), which no URL may hold")


def _host_and_port(netloc: str, scheme: str) -> tuple[str, int]:
    """Return the host as written (IPv6 in brackets) and the port."""
    host, colon, port = netloc.rpartition(":")
    if not colon or port.endswith("]"):
        host, port = netloc, ""
    if not port:
        return host, DEFAULT_PORTS[scheme]
    if not (port.isascii() and port.isdecimal()) or not 1 <= int(port[:6]) <= 65535 or len(port) > 5:
        raise UrlTrouble(f"the port is “{port[:20]}”, expected 1 to 65535")
    return host, int(port)


def _host(written: str) -> tuple[str, str]:
    """Return the host as ASCII, and as written when it is an IPv4 address in an odd spelling."""
    if written.startswith("["):
        try:
            address = IPv6Address(written.removeprefix("[").removesuffix("]"))
        except ValueError as error:
            raise UrlTrouble(f"the host “{written[:80]}” is no IPv6 address") from error
        if address.scope_id is not None or not written.endswith("]"):
            raise UrlTrouble(f"the host “{written[:80]}” is no address that others can reach")
        return address.compressed, ""
    name = _ascii_name(written)
    labels = name.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        address4 = _ipv4(labels, written)
        return str(address4), "" if str(address4) == written else written
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise UrlTrouble(f"“{written[:80]}” cannot be the name of a host")
    return name, ""


def _ascii_name(written: str) -> str:
    name = unquote(written, errors="surrogateescape") if "%" in written else written
    if not name.isascii():
        import idna

        try:
            name = idna.encode(name, uts46=True).decode()
        except (idna.IDNAError, UnicodeError) as error:
            raise UrlTrouble(f"“{written[:80]}” cannot be the name of a host ({error})") from error
    return name.lower().removesuffix(".")


def _ipv4(labels: list[str], written: str) -> IPv4Address:
    """Read an IPv4 address as browsers do: 1 to 4 parts, decimal, octal or hexadecimal; the last fills what is left."""
    try:
        if len(labels) > 4 or max(map(len, labels)) > 20:
            raise ValueError
        *first, last = [_ipv4_number(label) for label in labels]
        if any(number > 255 for number in first) or last >= 256 ** (5 - len(labels)):
            raise ValueError
    except ValueError as error:
        raise UrlTrouble(f"the host “{written[:80]}” ends in a number and is no IPv4 address") from error
    return IPv4Address(sum(number << (24 - 8 * at) for at, number in enumerate(first)) + last)


def _ipv4_number(label: str) -> int:
    if label.startswith("0x"):
        return int(label[2:] or "0", 16)
    return int(label, 8 if label.startswith("0") else 10)


def _why_host_not_public(address: WebAddress) -> str:
    if address.odd_host:
        return f"the host “{address.odd_host}” is an odd spelling of the address {address.host}"
    host = address.host
    if ":" in host or host.rpartition(".")[2].isdecimal():
        reason = why_not_public(host)
        return f"the address {host} is not public ({reason})" if reason else ""
    tld = host.rpartition(".")[2]
    if tld in _RESERVED_TLDS:
        return f"the host {host} is reserved: nobody outside can reach names under .{tld}"
    if "." not in host:
        return f"the host {host} is a single word, known in a local network at most"
    for domain in _RESERVED_DOMAINS:
        if host == domain or host.endswith(f".{domain}"):
            return f"the host {host} is reserved: {domain} is for documentation"
    return ""


def _placeholder(url: str, rules: UrlRules) -> str:
    plain = unquote(url)
    for pattern in _compiled(rules.patterns):
        match = pattern.search(url) or pattern.search(plain)
        if match:
            return f"“{match[0]}” looks like a placeholder (pattern {pattern.pattern})"
    return ""


@lru_cache(maxsize=16)
def _compiled(patterns: tuple[str, ...]) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(pattern, re.IGNORECASE) for pattern in patterns)


def _too_long(address: WebAddress) -> str:
    size = len(address.url)
    return f"the URL has {size} characters when encoded, more than {MAX_LENGTH}" if size > MAX_LENGTH else ""


def _encoded(text: str, safe: frozenset[str]) -> str:
    """Return `text` with the percent-encoding that it needs, in capitals, and none that it does not."""
    if not text or ("%" not in text and safe.issuperset(text)):
        return text

    def one(match: re.Match[str]) -> str:
        digits, character = match.groups()
        if digits is not None:
            decoded = chr(int(digits, 16))
            return decoded if decoded in _UNRESERVED else f"%{digits.upper()}"
        if character in safe:
            return str(character)
        return "".join(f"%{byte:02X}" for byte in character.encode())

    return _TRIPLET.sub(one, text)


def _without_dot_segments(path: str) -> str:
    """Resolve `.` and `..` (RFC 3986 section 5.2.4)."""
    if "/." not in path:
        return path
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            if kept:
                kept.pop()
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)

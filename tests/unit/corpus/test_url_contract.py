"""The URL contract: every way in which a URL breaks it, and one text for all spellings of an address."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from hypothesis import example, given
from hypothesis import strategies as st

from datasets_app.domain.url_contract import UrlRules, canonical_url, violation
from datasets_app.services.corpus.url_rules import contract_columns, rules_digest, url_rules
from goldenproject.settings import environment

RULES = UrlRules()


@pytest.mark.parametrize(
    "url",
    [
        "https://docs.python.org/3/library/asyncio.html",
        "http://www.w3.org/TR/html52/",
        "https://en.wikipedia.org/wiki/Retrieval-augmented_generation",
        "https://de.wikipedia.org/wiki/Straße",
        "https://bücher.de/a",
        "https://8.8.8.8/dns",
        "https://[2606:4700::1111]/",
        "https://docs.python.org:8443/x",
        "https://github.com/a/b/compare/v1.0...v1.1",
        "https://mastodon.social/about",
        "https://react.dev/learn/todo-list",
        "https://sub.example.co.uk/a",
        "https://examples.com/a",
        "https://mylocal.dev/",
        "https://arxiv.org/abs/2005.11401?context=cs.CL#section",
        "https://a_b.readthedocs.io/",
    ],
)
def test_violation__real_address__empty(url: str) -> None:
    assert violation(url, RULES) == ""


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("", "empty"),
        ("docs.python.org/3", "expected an absolute http or https URL, found no scheme"),
        ("/relative/path", "found no scheme"),
        ("//docs.python.org/3", "found no scheme"),
        ("ftp://docs.python.org/3", "found the scheme “ftp”"),
        ("file:///etc/passwd", "found the scheme “file”"),
        ("javascript:alert(1)", "found the scheme “javascript”"),
        ("https:docs.python.org", "found no host"),
        ("https:///path", "found no host"),
        ("https://user:secret@docs.python.org/", "user name or password"),
        ("https://docs.python.org@evil.org/", "user name or password"),
        ("https://docs.python.org:0/", "the port is “0”"),
        ("https://docs.python.org:65536/", "the port is “65536”"),
        ("https://docs.python.org:٤٤٣/", "the port is"),
        ("https://docs.python.org:80x/", "the port is “80x”"),
        ("https://docs.python.org/a b", "U+0020 (space)"),
        (" https://docs.python.org/", "U+0020 (space)"),
        ("https://docs.python.org/\n", "U+000A (control character)"),
        ("https://docs.python.org/\x00", "U+0000"),
        ("https://docs.python.org/a\u200bb", "U+200B (zero width space)"),
        ("https://docs.python.org/a\u00a0b", "U+00A0 (no-break space)"),
        ("https://docs.python.org/\ud800", "U+D800"),
        ("https://docs.python.org\\@evil.org/", "U+005C (reverse solidus)"),
        ("https://docs.python.org/" + "a" * 2048, "more than 2048"),
        ("https://docs.python.org/" + "ü" * 400, "when encoded, more than 2048"),
        ("https://[::1/", "cannot be read"),
        ("https://[nothing]/", ""),
        ("https://[fe80::1%25eth0]/", ""),
        ("https://a..b.org/", "cannot be the name of a host"),
        ("https://-a.org/", "cannot be the name of a host"),
        ("https://a%2fb.org/", "cannot be the name of a host"),
        ("https://" + "a" * 64 + ".org/", "cannot be the name of a host"),
        ("https://example.com/a", "example.com is for documentation"),
        ("https://EXAMPLE.com./a", "example.com is for documentation"),
        ("https://www.example.org/", "example.org is for documentation"),
        ("https://ex%61mple.net/", "example.net is for documentation"),
        ("https://ｅｘａｍｐｌｅ．com/", "example.com is for documentation"),
        ("http://localhost:8000/a", "reserved"),
        ("http://app.localhost/", "under .localhost"),
        ("https://docs.test/", "under .test"),
        ("https://docs.invalid/", "under .invalid"),
        ("https://docs.example/", "under .example"),
        ("https://printer.local/", "under .local"),
        ("https://metadata.google.internal/", "under .internal"),
        ("https://abcdef.onion/", "under .onion"),
        ("https://router.home.arpa/", "home.arpa"),
        ("https://intranetserver/", "single word"),
        ("http://10.1.2.3/", "10.1.2.3 is not public (private)"),
        ("http://127.0.0.1/", "(loopback)"),
        ("http://169.254.169.254/latest/meta-data/", "(link-local)"),
        ("http://224.0.0.1/", "(multicast)"),
        ("http://100.64.0.1/", "(shared by carrier-grade NAT)"),
        ("http://192.88.99.1/", "(a 6to4 relay)"),
        ("http://[::]/", "(unspecified)"),
        ("http://[::1]/", "(loopback)"),
        ("http://[::ffff:8.8.8.8]/", "(IPv4-mapped)"),
        ("http://[64:ff9b::808:808]/", "(NAT64)"),
        ("http://[64:ff9b:1::1]/", "(NAT64)"),
        ("http://[2002:808:808::]/", "(6to4)"),
        ("http://[2001:0:1::]/", "(Teredo)"),
        ("http://[fd00::1]/", "(private)"),
        ("http://127.1/", "“127.1” is an odd spelling of the address 127.0.0.1"),
        ("http://2130706433/", "odd spelling of the address 127.0.0.1"),
        ("http://0x7f000001/", "odd spelling of the address 127.0.0.1"),
        ("http://0x7F.1/", "odd spelling of the address 127.0.0.1"),
        ("http://017700000001/", "odd spelling of the address 127.0.0.1"),
        ("http://127.0.0.1./", "odd spelling of the address 127.0.0.1"),
        ("http://１２７.0.0.1/", "odd spelling of the address 127.0.0.1"),
        ("http://127%2e0.0.1/", "odd spelling of the address 127.0.0.1"),
        ("http://8.8.2056/", "odd spelling of the address 8.8.8.8"),
        ("http://256.1.1.1/", "is no IPv4 address"),
        ("http://1.2.3.4.5/", "is no IPv4 address"),
        ("http://08.1.1.1/", "is no IPv4 address"),
        ("http://" + "9" * 5000 + "/", "more than 2048"),
        ("http://" + "9" * 40 + "/", "is no IPv4 address"),
        ("https://placeholder.com/a", "“placeholder” looks like a placeholder"),
        ("https://docs.acme.io/PLACEHOLDER-1", "looks like a placeholder"),
        ("https://your-domain.com/a", "looks like a placeholder"),
        ("https://docs.yourdomain.io/", "looks like a placeholder"),
        ("https://docs.acme.io/your-page", "looks like a placeholder"),
        ("https://docs.acme.io/TODO", "“/TODO” looks like a placeholder"),
        ("https://docs.acme.io/todo", "looks like a placeholder"),
        ("https://docs.acme.io/changeme", "“changeme” looks like a placeholder"),
        ("https://docs.acme.io/<page>", "“<page>” looks like a placeholder"),
        ("https://docs.acme.io/%3Cpage%3E", "“<page>” looks like a placeholder"),
        ("https://docs.acme.io/{id}", "“{id}” looks like a placeholder"),
        ("https://docs.acme.io/$PAGE", "looks like a placeholder"),
        ("https://docs.acme.io/.../a", "looks like a placeholder"),
        ("https://docs.acme.io/xxxx", "looks like a placeholder"),
        ("https://foo.com/", "looks like a placeholder"),
    ],
)
def test_violation__broken_url__reason(url: str, told: str) -> None:
    reason = violation(url, RULES)
    assert reason != ""
    assert told in reason


@pytest.mark.parametrize(
    ("spelling", "canonical"),
    [
        ("HTTPS://Docs.Python.ORG:443/3/", "https://docs.python.org/3/"),
        ("http://docs.python.org:80", "http://docs.python.org/"),
        ("http://docs.python.org:/", "http://docs.python.org/"),
        ("http://docs.python.org./", "http://docs.python.org/"),
        ("https://docs.python.org:8443/", "https://docs.python.org:8443/"),
        ("https://docs.python.org/a/./b/../c#part", "https://docs.python.org/a/c"),
        ("https://docs.python.org/a/%2e%2E/b", "https://docs.python.org/b"),
        ("https://docs.python.org/../../a/..", "https://docs.python.org/"),
        ("https://docs.python.org/%7euser/%e4%bd%a0", "https://docs.python.org/~user/%E4%BD%A0"),
        ("https://docs.python.org/你", "https://docs.python.org/%E4%BD%A0"),
        ("https://docs.python.org/a%2Fb", "https://docs.python.org/a%2Fb"),
        ("https://docs.python.org/100%", "https://docs.python.org/100%25"),
        ("https://bücher.de/", "https://xn--bcher-kva.de/"),
        ("https://XN--BCHER-KVA.de/", "https://xn--bcher-kva.de/"),
        ("https://docs.python.org/?", "https://docs.python.org/"),
        (
            "https://docs.python.org/?b=2&utm_source=x&a=1&UTM_Medium=y&gclid=z",
            "https://docs.python.org/?b=2&a=1",
        ),
        ("https://docs.python.org/?%75tm_source=x", "https://docs.python.org/"),
        ("https://docs.python.org/?q=a%20b&c=[1]", "https://docs.python.org/?q=a%20b&c=%5B1%5D"),
        ("http://0x08080808/", "http://8.8.8.8/"),
        ("http://[2606:4700:0:0:0:0:0:1]:80/", "http://[2606:4700::1]/"),
        ("not a url", "not a url"),
        ("", ""),
        ("https://user@docs.python.org/", "https://user@docs.python.org/"),
    ],
)
def test_canonical_url__spelling__one_text(spelling: str, canonical: str) -> None:
    assert canonical_url(spelling) == canonical
    assert canonical_url(canonical) == canonical


_PIECES = st.sampled_from(
    [
        "http",
        "https",
        "HTTP",
        "://",
        ":",
        "/",
        "//",
        ".",
        "..",
        "/../",
        "/./",
        "%2e",
        "%2F",
        "%25",
        "%",
        "%zz",
        "?",
        "&",
        "=",
        "#",
        "@",
        "[",
        "]",
        "[::1]",
        "\\",
        "utm_source=1",
        "ü",
        "ß",
        "你",
        "ｅ",
        "。",
        "a.org",
        "EXAMPLE.com",
        "127.1",
        "0x7f",
        "080",
        "xn--a",
        "xn--bcher-kva.de",
        "443",
        "80",
        "99999",
        "~",
        ";",
        "+",
        "<",
        "{",
        "\u200b",
        "\x00",
        "�",
    ]
)
_URLS = st.text() | st.lists(_PIECES, max_size=9).map("".join)
_URLS |= _URLS.map("https://".__add__) | _URLS.map("http://a.org/".__add__)


@given(_URLS)
@example("http://[::ffff:1.2.3.4]/")
@example("http://%C3%BC.de/%")
@example("http://a.org/?utm_a&")
def test_canonical_url__any_text__idempotent(url: str) -> None:
    once = canonical_url(url)
    assert canonical_url(once) == once


@given(_URLS)
def test_violation__any_text__same_for_the_canonical_url(url: str) -> None:
    if violation(url, UrlRules(())) == "":
        assert violation(canonical_url(url), UrlRules(())) == ""


@given(
    st.sampled_from(["docs.python.org", "bücher.de", "8.8.8.8"]),
    st.lists(st.text("ab~ü", min_size=1, max_size=3), max_size=3),
)
def test_canonical_url__spellings__equal(host: str, segments: list[str]) -> None:
    from urllib.parse import quote

    plain = f"https://{host}/" + "/".join(segments)
    loud = f"HTTPS://{host.upper()}:443/x/../" + "/".join("".join(_all_encoded(s)) for s in segments) + "#top"
    assert canonical_url(loud) == canonical_url(plain)
    assert canonical_url(f"https://{host}/" + "/".join(map(quote, segments))) == canonical_url(plain)


def _all_encoded(text: str) -> list[str]:
    return [f"%{byte:02x}" for byte in text.encode()]


def test_url_rules__configured__added_and_taken_away(settings: object) -> None:
    settings.GOLDEN_URL_PLACEHOLDERS = [r"\bacme\b", "!placeholder"]  # type: ignore[attr-defined]
    settings.ALLOWED_HOSTS = ["console.golden.dev", ".ours.dev", "*"]  # type: ignore[attr-defined]
    assert "acme" in violation("https://acme.io/", url_rules())
    assert violation("https://docs.python.org/::placeholder", url_rules()) == ""
    assert "console" in violation("https://console.golden.dev/admin/", url_rules())
    assert violation("https://golden.dev/", url_rules()) == ""
    assert "wiki.ours.dev" in violation("https://wiki.ours.dev/", url_rules())


def test_rules_digest__other_patterns__other_digest(settings: object) -> None:
    before = rules_digest()
    assert rules_digest() == before
    settings.GOLDEN_URL_PLACEHOLDERS = ["acme"]  # type: ignore[attr-defined]
    assert rules_digest() != before


def test_contract_columns__url__canonical_and_violation() -> None:
    assert contract_columns("HTTPS://Docs.Python.org") == ("https://docs.python.org/", "")
    assert contract_columns("HTTP://LOCALHOST") == (
        "http://localhost/",
        "the host localhost is reserved: nobody outside can reach names under .localhost",
    )


def test_patterns__bad_regular_expression__told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOLDEN_URL_PLACEHOLDERS", r"acme ( !placeholder")
    with pytest.raises(ImproperlyConfigured, match=r"GOLDEN_URL_PLACEHOLDERS: found '\('.*missing \)"):
        environment.patterns("GOLDEN_URL_PLACEHOLDERS")


def test_domain__no_django() -> None:
    import datasets_app.domain.url_contract as module

    assert "django" not in Path(module.__file__).read_text()

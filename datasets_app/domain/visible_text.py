"""The text that a reader of a web page sees, for telling whether the page has changed.

Scripts, styles, attributes, comments and navigation do not count: nonces, session ids and menus change with every visit.
The scanner is linear in the length of any page, well-formed or hostile; the standard library's parser is not (800 kB of
`<!--` keep it busy for more than 20 seconds).
"""

from __future__ import annotations

import re
from html import unescape

_RAW = frozenset({"script", "style", "iframe", "noembed", "noframes", "xmp"})  # their content is no markup
_HIDDEN = frozenset({"noscript", "template", "svg", "nav"})
_NAME = re.compile(r"</?([a-zA-Z][^\s/>]*)")
_TAG_END = re.compile(r"""[^>"']*+(?:"[^"]*+"[^>"']*+|'[^']*+'[^>"']*+)*+>""")
_META_CHARSET = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?([a-zA-Z0-9_:.-]{1,40})", re.IGNORECASE)
_SLOW_CODECS = frozenset({"punycode", "idna", "unicode_escape", "raw_unicode_escape", "undefined"})
_SNIFFED_BYTES = 2048


def visible_text(html: str) -> str:
    """Return title and visible text of a page, its whitespace collapsed. A text without markup comes back as it is."""
    scanner = _Scanner(html)
    scanner.run()
    return " ".join(_unescaped(" ".join(scanner.shown)).split())


def decoded(body: bytes, charset: str = "") -> str:
    """Decode a page by the charset of its header, else of its meta element, else UTF-8; what does not fit becomes U+FFFD."""
    if not charset:
        found = _META_CHARSET.search(body[:_SNIFFED_BYTES])
        charset = found[1].decode() if found else ""
    if charset and charset.lower().replace("-", "_") not in _SLOW_CODECS:
        try:
            return body.decode(charset, errors="replace")
        except (LookupError, ValueError):
            pass  # no such charset, or it is none of text: read on as UTF-8
    return body.decode(errors="replace")


class _Scanner:
    """Walks over the markup once. `shown` collects what is outside of hidden elements."""

    def __init__(self, html: str) -> None:
        self._html = html
        self._quotes_balance = True
        self._hidden_by = ""
        self._depth = 0
        self._held: list[str] = []
        self.shown: list[str] = []

    def run(self) -> None:
        at = 0
        while at < len(self._html):
            tag = self._html.find("<", at)
            self._text(self._html[at : tag if tag >= 0 else None])
            if tag < 0:
                break
            at = self._after_markup(tag)
        self.shown += self._held  # a hidden element that is never closed would hide the whole page

    def _text(self, text: str) -> None:
        if text:
            (self._held if self._hidden_by else self.shown).append(text)

    def _after_markup(self, at: int) -> int:
        """Return where the text goes on behind the `<` at `at`."""
        html = self._html
        if html.startswith("<!--", at):
            return self._after("-->", at + 2)
        if html.startswith(("<!", "<?"), at):
            return self._after(">", at)
        name = _NAME.match(html, at)
        if name is None:
            self._text("<")
            return at + 1
        end = self._tag_end(name.end())
        closing, tag = html[at + 1] == "/", name[1].lower()
        if not closing and tag in _RAW:
            return self._after_raw(tag, end)
        if tag in _HIDDEN and not html.startswith("/>", end - 2):
            self._hide(tag, closing=closing)
        return end

    def _after(self, mark: str, at: int) -> int:
        end = self._html.find(mark, at)
        return len(self._html) if end < 0 else end + len(mark)

    def _tag_end(self, at: int) -> int:
        if self._quotes_balance:
            end = _TAG_END.match(self._html, at)
            if end is not None:
                return end.end()
            self._quotes_balance = (
                False  # asked once only, or a page of open quotes would cost its length squared
            )
        return self._after(">", at)

    def _after_raw(self, tag: str, at: int) -> int:
        end = re.compile(f"</{tag}", re.IGNORECASE).search(self._html, at)
        return len(self._html) if end is None else self._after(">", end.end())

    def _hide(self, tag: str, *, closing: bool) -> None:
        if not self._hidden_by and not closing:
            self._hidden_by, self._depth = tag, 1
        elif tag == self._hidden_by:
            self._depth += -1 if closing else 1
            if self._depth == 0:
                self._hidden_by = ""
                self._held.clear()


def _unescaped(text: str) -> str:
    try:
        return unescape(text)
    except ValueError:  # a numeric reference of thousands of digits
        return text

"""The instructions of a queue: Markdown that a curator wrote, as HTML that is safe to show."""

from __future__ import annotations

from functools import lru_cache
from html import escape
from xml.etree.ElementTree import Element

from markdown import Markdown
from markdown.extensions import Extension
from markdown.treeprocessors import Treeprocessor

_LINKS = ("https://", "http://", "mailto:")
# Reading takes time that grows with the square of these, and text that people write has few of them.
_MOST_BRACKETS = 1000


@lru_cache(maxsize=64)
def instructions_html(text: str) -> str:
    """Return Markdown as HTML. HTML in it becomes text, pictures become their description, and only links to the web
    and to mail addresses stay links; they open beside the console, so that no answer is lost. What is nested too deeply to
    be read, or has more brackets than can be read in time, is shown as it was written.
    """
    if text.count("[") > _MOST_BRACKETS:
        return _as_written(text)
    markdown = Markdown(extensions=["fenced_code", "tables", "sane_lists", _Safe()])
    markdown.preprocessors.deregister("html_block")
    markdown.inlinePatterns.deregister("html")
    try:
        return str(markdown.convert(text))
    except RecursionError:
        return _as_written(text)


def _as_written(text: str) -> str:
    return f"<pre>{escape(text)}</pre>"


class _Safe(Extension):
    def extendMarkdown(self, md: Markdown) -> None:
        md.treeprocessors.register(_SafeTree(md), "golden_safe", 0)


class _SafeTree(Treeprocessor):
    def run(self, root: Element) -> None:
        for element in root.iter("a"):
            target = element.attrib.pop("href", "")
            if target.startswith(_LINKS):
                element.attrib.update({"href": target, "target": "_blank", "rel": "noopener noreferrer"})
        for element in root.iter("img"):
            described = element.get("alt", "")
            tail = element.tail
            element.clear()
            element.tag, element.text, element.tail = "em", described, tail

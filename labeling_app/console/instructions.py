"""The instructions of a queue: Markdown that a curator wrote, as HTML that is safe to show."""

from __future__ import annotations

from functools import lru_cache
from xml.etree.ElementTree import Element

from markdown import Markdown
from markdown.extensions import Extension
from markdown.treeprocessors import Treeprocessor

_LINKS = ("https://", "http://", "mailto:")


@lru_cache(maxsize=64)
def instructions_html(text: str) -> str:
    """Return Markdown as HTML. HTML in it becomes text, pictures become their description, and only links to the web
    and to mail addresses stay links; they open beside the console, so that no answer is lost.
    """
    markdown = Markdown(extensions=["fenced_code", "tables", "sane_lists", _Safe()])
    markdown.preprocessors.deregister("html_block")
    markdown.inlinePatterns.deregister("html")
    return str(markdown.convert(text))


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

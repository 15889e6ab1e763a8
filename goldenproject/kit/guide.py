"""The guide: Markdown pages of this project, rendered for the console's Help."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from xml.etree.ElementTree import Element

from django.utils.safestring import SafeString, mark_safe
from markdown import Markdown
from markdown.extensions import Extension
from markdown.extensions.toc import TocExtension
from markdown.treeprocessors import Treeprocessor

from goldenproject.kit.errors import NotFound

FOLDER = Path(__file__).resolve().parent.parent / "guide"
_ORDER = (
    "getting-started",
    "curating",
    "labeling",
    "reviewing",
    "agreement",
    "bulk-labeling",
    "annotation-files",
    "example-types",
    "versions",
    "how-versions-work",
    "corpus",
    "retrieval",
    "commands",
    "python-api",
    "api",
    "webhooks",
    "roles-and-tokens",
    "backup-and-restore",
    "operations",
    "troubleshooting",
)


class UnknownPage(NotFound):
    """The guide has no such page."""

    code = "unknown_page"


@dataclass(frozen=True)
class GuidePage:
    """A page of the guide: its name in addresses, and its first heading."""

    name: str
    title: str
    path: Path


@dataclass(frozen=True)
class Heading:
    """An entry of a page's table of contents."""

    anchor: str
    title: str


@dataclass(frozen=True)
class RenderedPage:
    """The HTML of a page without its first heading, and the headings of the second level."""

    html: SafeString
    headings: tuple[Heading, ...]


def guide_pages() -> list[GuidePage]:
    """Return all pages: those in the order of reading first, then what is new."""
    found = {path.stem: path for path in sorted(FOLDER.glob("*.md"))}
    names = [name for name in _ORDER if name in found] + [name for name in found if name not in _ORDER]
    return [GuidePage(name, _title(found[name]), found[name]) for name in names]


def guide_page(name: str) -> GuidePage:
    """Return the page `name`, which is looked up among those that exist: never a path. Raises UnknownPage."""
    for page in guide_pages():
        if page.name == name:
            return page
    raise UnknownPage(f"The guide has no page “{name}”.")


def guide_file(name: str) -> Path:
    """Return the path of a picture (images/…png) or a program (examples/…py) of the guide. Raises UnknownPage."""
    for path in (*FOLDER.glob("images/*.png"), *FOLDER.glob("examples/*.py")):
        if path.relative_to(FOLDER).as_posix() == name:
            return path
    raise UnknownPage(f"The guide has no file “{name}”.")


def render(
    page: GuidePage, *, page_url: Callable[[str], str], file_url: Callable[[str], str]
) -> RenderedPage:
    """Render a page; links to other pages and files of the guide go through `page_url` and `file_url`.

    HTML inside the Markdown is shown as text, and links that lead neither into the guide nor to the web lose their target.
    """
    return _render(page.path, page.path.stat().st_mtime_ns, page_url, file_url)


@lru_cache(maxsize=64)
def _render(
    path: Path, _changed_at: int, page_url: Callable[[str], str], file_url: Callable[[str], str]
) -> RenderedPage:
    toc = TocExtension(toc_depth="2-3")
    markdown = Markdown(extensions=["fenced_code", "tables", "sane_lists", toc, _Links(page_url, file_url)])
    markdown.preprocessors.deregister("html_block")
    markdown.inlinePatterns.deregister("html")
    _, _, body = path.read_text().partition("\n")
    html = markdown.convert(body)
    tokens = markdown.toc_tokens  # type: ignore[attr-defined]
    headings = tuple(Heading(token["id"], token["name"]) for token in tokens if token["level"] == 2)
    return RenderedPage(mark_safe(html), headings)  # noqa: S308 - our own pages, raw HTML off


def _title(path: Path) -> str:
    with path.open() as file:
        return file.readline().lstrip("#").strip()


class _Links(Extension):
    def __init__(self, page_url: Callable[[str], str], file_url: Callable[[str], str]) -> None:
        super().__init__()
        self.page_url = page_url
        self.file_url = file_url

    def extendMarkdown(self, md: Markdown) -> None:
        md.treeprocessors.register(_LinkProcessor(md, self), "golden_links", 0)


class _LinkProcessor(Treeprocessor):
    def __init__(self, md: Markdown, links: _Links) -> None:
        super().__init__(md)
        self.links = links

    def run(self, root: Element) -> None:
        for element in root.iter("a"):
            target = self._target(element.get("href", ""))
            if target:
                element.set("href", target)
            else:
                element.attrib.pop("href", None)
        for element in root.iter("img"):
            element.set("src", self.links.file_url(element.get("src", "")))

    def _target(self, href: str) -> str:
        if href.startswith(("#", "https://", "http://")):
            return href
        name, hash_, anchor = href.partition("#")
        if name.endswith(".md") and "/" not in name:
            return self.links.page_url(name.removesuffix(".md")) + hash_ + anchor
        return self.links.file_url(name) if name.startswith("examples/") else ""

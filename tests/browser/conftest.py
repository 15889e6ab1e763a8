"""What browser tests share: people who sign in, pages that are watched for errors, screenshots."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.models import Group, User
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request

SCREENSHOTS = Path(__file__).parent / "screenshots"
PASSWORD = "correct-horse-battery"
SIZE = {"width": 1280, "height": 800}


class Visitor:
    """A person with a browser of their own. What the browser complains about is kept in `complaints`."""

    def __init__(self, context: BrowserContext, site: str, story: str) -> None:
        self.page: Page = context.new_page()
        self.site = site
        self.complaints: list[str] = []
        self._story = SCREENSHOTS / story
        self._story.mkdir(parents=True, exist_ok=True)
        self._shots = 0
        self._host = urlsplit(site).netloc
        context.on("request", self._note_request)
        context.on("console", self._note_console)
        self.page.on("pageerror", lambda error: self.complaints.append(f"script error: {error}"))

    def _note_request(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme in ("http", "https", "ws", "wss") and address.netloc != self._host:
            self.complaints.append(f"request to another host: {request.url}")

    def _note_console(self, message: ConsoleMessage) -> None:
        """Errors and warnings of the console; violations of the content policy are among them."""
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type} at {self.page.url}: {message.text}")

    def sign_in(self, name: str) -> None:
        self.page.goto(f"{self.site}/admin/login/?next=/admin/")
        self.page.get_by_label("Username").fill(name)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Log in").click()
        self.page.wait_for_url(f"{self.site}/admin/")

    def go(self, path: str) -> None:
        self.page.goto(f"{self.site}{path}")

    def tab(self, name: str) -> None:
        """Go to a tab of the dataset that the page is about."""
        self.page.locator("nav.gd-tabs").get_by_role("link", name=name, exact=True).click()

    def shot(self, name: str, *, whole: bool = False) -> None:
        """Keep a picture of what is seen (or of the whole page), numbered in order."""
        self._shots += 1
        self.page.screenshot(path=self._story / f"{self._shots:02}-{name}.png", full_page=whole)

    def walk(self, pages: dict[str, str]) -> None:
        """Go through pages (name → path): each is there, is kept as a picture, and is no wider than the window."""
        too_wide = {}
        for name, path in pages.items():
            answer = self.page.goto(f"{self.site}{path}")
            assert answer is not None and answer.status == 200, f"{name}: {answer and answer.status}"
            self.page.evaluate("document.fonts.ready")
            self.shot(name)
            if self.overflow() > 0:
                too_wide[name] = self.overflow()
        assert too_wide == {}

    def overflow(self) -> int:
        """Return by how many pixels the page is wider than the window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))


@pytest.fixture
def visitor(
    browser: Browser, live_site: str, settings: Any, tmp_path: Path
) -> Iterator[Callable[..., Visitor]]:
    """Makes visitors: visitor("story", dark=False). At the end nobody's browser may have complained."""
    settings.MEDIA_ROOT = tmp_path / "media"
    contexts: list[BrowserContext] = []
    visitors: list[Visitor] = []

    def make(story: str, *, dark: bool = False) -> Visitor:
        context = browser.new_context(
            viewport=SIZE, accept_downloads=True, color_scheme="dark" if dark else "light"
        )
        contexts.append(context)
        visitors.append(Visitor(context, live_site, story))
        return visitors[-1]

    yield make
    for context in contexts:
        context.close()
    assert [complaint for one in visitors for complaint in one.complaints] == []


def make_person(name: str, role: str) -> User:
    """Make somebody who signs in with PASSWORD and has a role everywhere (or "superuser")."""
    user = User.objects.create_user(name, password=PASSWORD, is_staff=True, is_superuser=role == "superuser")
    if role != "superuser":
        user.groups.add(Group.objects.get(name=role))
    return user


@pytest.fixture
def person(live_site: str) -> Callable[[str, str], User]:
    """Makes people: person("owner", "curator")."""
    return make_person

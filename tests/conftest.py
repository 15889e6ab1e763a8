"""Fixtures of all tests: the database server, databases by cloning, the live site, the browser, shared data."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

ROOT = Path(__file__).resolve().parent.parent
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "1")  # Playwright's loop runs in the thread of the tests

CHROMIUM = Path("/usr/bin/chromium")
CHROMIUM_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests at scale unless -m asks for them; refuse what the immutable tables cannot take."""
    if "scale" not in (config.getoption("markexpr") or ""):
        kept = [item for item in items if item.get_closest_marker("scale") is None]
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept
    for item in items:
        marker = item.get_closest_marker("django_db")
        transactional = marker is not None and (
            marker.kwargs.get("transaction") or marker.args[:1] == (True,)
        )
        if transactional or {"transactional_db", "live_server"} & set(getattr(item, "fixturenames", ())):
            raise pytest.UsageError(
                f"{item.nodeid}: found a transactional test; its flush would TRUNCATE tables that refuse it. "
                "Use the fixture committed_db, which gives the test a database of its own."
            )


@pytest.fixture(scope="session")
def django_db_setup(django_db_blocker: Any) -> Iterator[None]:
    """Give this process (each worker of xdist is one) a database of its own, cloned from the template."""
    from tests.template_database import cloned, connected_to

    with django_db_blocker.unblock(), cloned() as name, connected_to(name):
        yield


@pytest.fixture
def committed_db(django_db_setup: None, django_db_blocker: Any) -> Iterator[str]:
    """A database of the test's own, in which commits are real; yields its name. Not together with `db`."""
    from tests.template_database import cloned, connected_to

    with django_db_blocker.unblock(), cloned() as name, connected_to(name):
        yield name


@pytest.fixture
def shared_data() -> Path:
    """The folder of shared data sets beside the checkout."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the shared data sets are not at {folder}")
    return folder


@pytest.fixture(scope="module")
def live_site(django_db_setup: None, django_db_blocker: Any) -> Iterator[str]:
    """Serve the site from a thread, on a database of the module's own; yields its address without a final slash.

    Tests may use the ORM too: it sees the same database, and commits are real.
    """
    from django.contrib.staticfiles.handlers import StaticFilesHandler
    from django.db import connections
    from django.test.testcases import LiveServerThread

    from tests.template_database import cloned, connected_to

    with django_db_blocker.unblock(), cloned() as name, connected_to(name):
        server = LiveServerThread("127.0.0.1", StaticFilesHandler, connections_override={})
        server.daemon = True
        server.start()
        server.is_ready.wait()
        if server.error:
            raise server.error
        yield f"http://127.0.0.1:{server.port}"
        server.terminate()
        for connection in connections.all(initialized_only=True):
            connection.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's chromium, without a window."""
    if not CHROMIUM.exists():
        pytest.skip(f"no browser: {CHROMIUM} is absent (apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=CHROMIUM_FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def browser_context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser profile of the test's own, 1280 × 800."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, accept_downloads=True)
    yield context
    context.close()


@pytest.fixture
def page(browser_context: BrowserContext) -> Page:
    return browser_context.new_page()

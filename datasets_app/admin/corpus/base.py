"""What the pages of the corpus share: rights, the corpus that is looked at, reading of addresses."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from datasets_app.domain.roles import Action
from datasets_app.models import Corpus
from datasets_app.services.access import may, require
from goldenproject.kit.admin import ConsoleAdmin, ConsolePage
from goldenproject.kit.errors import NotFound

SHOWN_URL_CHARACTERS = 46
MAX_SUGGESTIONS = 100
SAMPLED_ROWS = 5000


class CorpusPage(ConsolePage):
    """A page about the corpus. `action` is the right that it asks for, `write_action` the one of a POST besides."""

    action = Action.VIEW
    write_action: Action | None = Action.EDIT

    def prepare(self, **kwargs: Any) -> None:
        require(self.person, self.action)
        if self.request.method == "POST" and self.write_action is not None:
            require(self.person, self.write_action)
        self.load(**kwargs)

    def load(self, **kwargs: Any) -> None:
        """Load what the page is about, after the rights were asked for."""

    def saved(self, said: str, address: str) -> HttpResponse:
        """Say what was done and lead to a page."""
        messages.success(self.request, said)
        return HttpResponseRedirect(address)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        return {
            "can_edit": may(self.person, Action.EDIT),
            "can_manage": may(self.person, Action.MANAGE),
            **context,
        }


class CorpusAdmin(ConsoleAdmin):
    """A model of the corpus in the console: the right to it is the same everywhere."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return may(request.user, Action.VIEW)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may(request.user, Action.VIEW)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return may(request.user, Action.EDIT)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may(request.user, Action.EDIT)


# --- addresses ----------------------------------------------------------------------------------------------------
def text_of(query: Mapping[str, Any], name: str, most: int = 500) -> str:
    """Return a parameter of the address without what the database cannot hold."""
    return str(query.get(name, "")).replace("\x00", "").strip()[:most]


def query_string(**parameters: Any) -> str:
    """Return a query string of the parameters that are not empty."""
    return urlencode({name: value for name, value in parameters.items() if value not in ("", None)})


def with_query(address: str, **parameters: Any) -> str:
    query = query_string(**parameters)
    return f"{address}?{query}" if query else address


def id_in(text: Any) -> uuid.UUID:
    """Read an id of an address. Raises NotFound."""
    try:
        return uuid.UUID(str(text))
    except ValueError as error:
        raise NotFound(f"“{str(text)[:60]}” is not an id: expected a UUID.") from error


def id_or_none(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def corpora() -> list[Corpus]:
    """Return all corpora by name; most installations have one."""
    return list(Corpus.objects.order_by("name"))


# --- how things look ----------------------------------------------------------------------------------------------
def shown_url(url: str) -> str:
    """Return a URL as a list shows it: without scheme, its middle left out when it is long."""
    text = url.partition("://")[2] or url
    text = text.removeprefix("www.").rstrip("/")
    if len(text) <= SHOWN_URL_CHARACTERS:
        return text
    host, slash, path = text.partition("/")
    room = SHOWN_URL_CHARACTERS - len(host) - 2
    return f"{host}{slash}…{path[-room:]}" if room > 12 else f"{text[: SHOWN_URL_CHARACTERS - 1]}…"


def safe_link(url: str) -> str:
    """Return the URL when a browser may be sent there, else "": a javascript: address is text, never a link."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return url if parts.scheme.lower() in ("http", "https") and parts.netloc else ""


def snippet(text: str, wanted: str = "", length: int = 220) -> str:
    """Return one line of a text: where `wanted` occurs in it, else its beginning."""
    line = " ".join(text.split())
    place = line.lower().find(wanted.lower()) if wanted else -1
    start = max(0, place - length // 3) if place > length // 2 else 0
    cut = line[start : start + length]
    return ("…" if start else "") + cut + ("…" if start + length < len(line) else "")

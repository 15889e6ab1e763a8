"""Tags for the templates of the versioning pages."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import template
from django.urls import reverse
from django.utils.http import urlencode

register = template.Library()


@register.simple_tag(takes_context=True)
def versioning_url(context: template.Context, page_name: str, *args: Any, **query: Any) -> str:
    """Return the address of a versioning page of the dataset and branch that the page is about.

    `at` names another branch (a Branch); empty parameters are left out.
    """
    branch = query.pop("at", None) or context["branch"]
    address = reverse(f"admin:datasets_app_dataset_{page_name}", args=[context["dataset"].pk, *args])
    parameters = {name: value for name, value in query.items() if value not in (None, "")}
    if not branch.is_default:
        parameters = {"branch": branch.pk, **parameters}
    return f"{address}?{urlencode(parameters)}" if parameters else address


@register.filter
def first_line(text: str) -> str:
    """The subject of a commit message."""
    return text.partition("\n")[0]


@register.filter
def short_id(name: object) -> str:
    """The name of an example; of a UUID, which nobody reads, the beginning."""
    text = str(name)
    try:
        return f"{UUID(text)}"[:8]
    except ValueError:
        return text

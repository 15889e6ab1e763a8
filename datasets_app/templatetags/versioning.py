"""Tags for the templates of the versioning pages."""

from __future__ import annotations

from typing import Any

from django import template
from django.urls import reverse
from django.utils.http import urlencode

register = template.Library()


@register.simple_tag(takes_context=True)
def versioning_url(context: template.Context, page: str, *args: Any, **query: Any) -> str:
    """Return the address of a versioning page of the dataset and branch that the page is about.

    `at` names another branch (a Branch); empty parameters are left out.
    """
    branch = query.pop("at", None) or context["branch"]
    address = reverse(f"admin:datasets_app_dataset_{page}", args=[context["dataset"].pk, *args])
    parameters = {name: value for name, value in query.items() if value not in (None, "")}
    if not branch.is_default:
        parameters = {"branch": branch.pk, **parameters}
    return f"{address}?{urlencode(parameters)}" if parameters else address

"""The look of the console: django-unfold's settings."""

from __future__ import annotations

from typing import Any

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Golden datasets",
    "SITE_HEADER": "Golden datasets",
    "SITE_SYMBOL": "database",
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "COMMAND": {"search_models": False, "show_history": False},
}

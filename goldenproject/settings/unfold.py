"""The look of the console: django-unfold's settings, and the menu at the left."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy


def _console_css(_request: HttpRequest) -> str:
    return static("datasets_app/console.css")


def _console_js(_request: HttpRequest) -> str:
    return static("datasets_app/console.js")


def _favicon(_request: HttpRequest) -> str:
    return static("datasets_app/favicon.svg")


def _entry(title: str, icon: str, url_name: str, permission: str | None = None) -> dict[str, Any]:
    entry: dict[str, Any] = {"title": title, "icon": icon, "link": reverse_lazy(f"admin:{url_name}")}
    if permission:
        entry["permission"] = f"datasets_app.admin.menu.{permission}"
    return entry


def _page(title: str, icon: str, url_name: str, permission: str) -> dict[str, Any]:
    """An entry about labeling; its permission is a function of labeling_app.admin.menu, and so is where it is lit."""
    menu = "labeling_app.admin.menu"
    entry = {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(url_name),
        "permission": f"{menu}.{permission}",
    }
    is_lit = {"label_home": "at_label", "label_reviews": "at_review", "label_queues": "at_queues"}
    return {**entry, "active": f"{menu}.{is_lit[url_name]}"} if url_name in is_lit else entry


UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Golden datasets",
    "SITE_HEADER": "Golden datasets",
    "SITE_SYMBOL": "database",
    "SITE_URL": None,
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": _favicon}],
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "COMMAND": {"search_models": False, "show_history": False},
    "BORDER_RADIUS": "6px",
    "COLORS": {
        "primary": {
            "50": "oklch(97.2% .014 254)",
            "100": "oklch(93.6% .032 254)",
            "200": "oklch(88% .059 254)",
            "300": "oklch(80% .1 254)",
            "400": "oklch(70% .14 255)",
            "500": "oklch(60% .17 256)",
            "600": "oklch(52% .18 258)",
            "700": "oklch(45% .17 259)",
            "800": "oklch(39% .14 260)",
            "900": "oklch(34% .1 261)",
            "950": "oklch(26% .07 262)",
        }
    },
    "STYLES": [_console_css],
    "SCRIPTS": [_console_js],
    "DASHBOARD_CALLBACK": "datasets_app.admin.home.home_context",
    "SIDEBAR": {
        "show_search": False,
        "show_all_applications": False,
        "navigation": [
            {
                "items": [
                    _entry("Home", "home", "index"),
                    _entry("Datasets", "database", "datasets_app_dataset_changelist", "can_view"),
                    _entry("Examples", "list_alt", "datasets_app_example_changelist", "can_view"),
                    _entry("Example types", "schema", "datasets_app_exampletype_changelist", "can_view"),
                ],
            },
            {
                "title": "Labeling",
                "separator": True,
                "items": [
                    _page("Label", "edit_note", "label_home", "can_label"),
                    _page("Review", "rate_review", "label_reviews", "can_review"),
                    _page("Queues", "stacks", "label_queues", "can_review"),
                    _page(
                        "Label history",
                        "history_edu",
                        "admin:labeling_app_labelhistory_changelist",
                        "can_review",
                    ),
                    _page(
                        "Sessions", "schedule", "admin:labeling_app_labelingsession_changelist", "can_review"
                    ),
                    _page("Webhooks", "webhook", "label_webhooks", "can_manage"),
                ],
            },
            {
                "title": "Corpus",
                "separator": True,
                "items": [
                    {
                        "title": "Search",
                        "icon": "search",
                        "link": reverse_lazy("corpus_search"),
                        "permission": "datasets_app.admin.menu.can_read_corpus",
                    },
                    _entry("Corpora", "library_books", "datasets_app_corpus_changelist", "can_read_corpus"),
                    _entry(
                        "Sources", "travel_explore", "datasets_app_analysis_changelist", "can_read_corpus"
                    ),
                    _entry("Chunks", "segment", "datasets_app_chunk_changelist", "can_read_corpus"),
                    _entry("Test queries", "quiz", "datasets_app_testquery_changelist", "can_read_corpus"),
                    _entry(
                        "Evaluations", "monitoring", "datasets_app_retrievalrun_changelist", "can_read_corpus"
                    ),
                    _entry(
                        "Embedding models", "hub", "datasets_app_embeddingmodel_changelist", "can_read_corpus"
                    ),
                ],
            },
            {
                "title": "Activity",
                "separator": True,
                "items": [
                    _entry("Imports", "upload_file", "datasets_app_importbatch_changelist", "can_import"),
                    _entry("Jobs", "hourglass_top", "datasets_app_jobrun_changelist", "can_view"),
                    {
                        "title": "Backups",
                        "icon": "settings_backup_restore",
                        "link": reverse_lazy("exports_app_backups"),
                        "permission": "datasets_app.admin.menu.can_back_up",
                    },
                    _entry("Audit log", "fact_check", "datasets_app_auditevent_changelist", "can_view"),
                ],
            },
            {
                "title": "Access",
                "separator": True,
                "items": [
                    _entry("API tokens", "key", "datasets_app_apitoken_changelist"),
                    _entry("People", "group", "auth_user_changelist", "can_manage"),
                    _entry("Groups", "groups", "auth_group_changelist", "can_manage"),
                ],
            },
            {
                "separator": True,
                "items": [{"title": "Help", "icon": "help", "link": reverse_lazy("help")}],
            },
        ],
    },
}

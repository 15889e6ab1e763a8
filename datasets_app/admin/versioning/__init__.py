"""The console's pages for versions: changes, history, comparison, branches, tags, merge and checkout."""

from datasets_app.admin.versioning.object_history import ObjectHistoryMixin
from datasets_app.admin.versioning.page import page_url
from datasets_app.admin.versioning.urls import versioning_urls

__all__ = ["ObjectHistoryMixin", "page_url", "versioning_urls"]

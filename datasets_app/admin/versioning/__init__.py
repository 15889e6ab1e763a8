"""The console's pages for versions: changes, history, comparison, branches, tags, merge and checkout."""

from datasets_app.admin.versioning.page import page_url
from datasets_app.admin.versioning.urls import versioning_urls

__all__ = ["page_url", "versioning_urls"]

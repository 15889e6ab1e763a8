"""The addresses of the versioning pages, below those of the dataset admin."""

from __future__ import annotations

from typing import Any

from django.urls import URLPattern, path

from datasets_app.admin.versioning.branches import BranchesPage
from datasets_app.admin.versioning.changes import ChangesPage
from datasets_app.admin.versioning.checkout import CheckoutPage
from datasets_app.admin.versioning.commit import CommitPage
from datasets_app.admin.versioning.comparison import ComparisonPage
from datasets_app.admin.versioning.conflicts import ConflictsPage
from datasets_app.admin.versioning.discarding import DiscardPage
from datasets_app.admin.versioning.history import ExampleHistoryPage
from datasets_app.admin.versioning.log import LogPage
from datasets_app.admin.versioning.merging import MergePage
from datasets_app.admin.versioning.page import URL_PREFIX
from datasets_app.admin.versioning.tags import TagsPage
from datasets_app.admin.versioning.version import VersionExamplePage, VersionPage

_PAGES = (
    ("changes/", "changes", ChangesPage),
    ("log/", "log", LogPage),
    ("commit/<str:commit_hash>/", "commit", CommitPage),
    ("compare/", "diff", ComparisonPage),
    ("branches/", "branches", BranchesPage),
    ("tags/", "tags", TagsPage),
    ("merge/", "merge", MergePage),
    ("merge/<int:merge_id>/", "conflicts", ConflictsPage),
    ("checkout/", "checkout", CheckoutPage),
    ("example/<uuid:example_id>/", "example_history", ExampleHistoryPage),
    ("version/", "version", VersionPage),
    ("version/example/<uuid:example_id>/", "version_example", VersionExamplePage),
    ("changes/discard/", "discard", DiscardPage),
)


def versioning_urls(model_admin: Any) -> list[URLPattern]:
    """Return the addresses of the versioning pages for `DatasetAdmin.get_urls`; named `admin:datasets_app_dataset_<page>`."""
    wrap = model_admin.admin_site.admin_view
    return [
        path(
            f"<uuid:dataset_id>/{address}",
            wrap(page.as_view(model_admin=model_admin)),
            name=f"{URL_PREFIX}{name}",
        )
        for address, name, page in _PAGES
    ]

"""What the pages of one dataset share: whose it is, the right to it, the branch that is looked at, the tabs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.urls import NoReverseMatch, reverse

from datasets_app.domain.roles import Action
from datasets_app.errors import UnknownRef
from datasets_app.models import Branch, Dataset
from datasets_app.services.access import may, require, role_in
from datasets_app.services.versioning.refs import get_dataset
from datasets_app.services.versioning.worktrees import is_dirty
from goldenproject.kit.admin import ConsolePage


@dataclass(frozen=True)
class Tab:
    """A tab of a dataset. `url_name` takes the dataset's id; the chosen branch rides along as ?branch=ID."""

    key: str
    title: str
    url_name: str
    action: Action = Action.VIEW


TABS = (
    Tab("examples", "Examples", "datasets_app_dataset_examples"),
    Tab("changes", "Changes", "datasets_app_dataset_changes"),
    Tab("log", "History", "datasets_app_dataset_log"),
    Tab("branches", "Branches", "datasets_app_dataset_branches"),
    Tab("tags", "Tags", "datasets_app_dataset_tags"),
    Tab("merge", "Merge", "datasets_app_dataset_merge", Action.MERGE),
    Tab("labeling", "Labeling", "datasets_app_dataset_labeling", Action.REVIEW),
    Tab("import", "Import", "datasets_app_dataset_import", Action.IMPORT),
    Tab("export", "Export", "datasets_app_dataset_export"),
    Tab("settings", "Settings", "datasets_app_dataset_change"),
)


def branch_url(url_name: str, dataset: Dataset, branch: Branch | None = None, **query: Any) -> str:
    """Return the address of a page of a dataset, on a branch when it is not the default one."""
    if branch is not None and not branch.is_default:
        query = {"branch": branch.pk, **query}
    address = reverse(f"admin:{url_name}", args=[dataset.pk])
    return f"{address}?{urlencode(query)}" if query else address


def chosen_branch(dataset: Dataset, wanted: str | None) -> Branch:
    """Return the branch with the id (or the name) `wanted`, else the default branch. Raises UnknownRef."""
    branches = dataset.branches.select_related("dataset", "commit")
    if not wanted:
        return branches.get(is_default=True)
    found = branches.filter(pk=int(wanted)).first() if wanted.isdecimal() and len(wanted) < 19 else None
    found = found or branches.filter(name=wanted).first()
    if found is None:
        raise UnknownRef(f"Dataset “{dataset}” has no branch “{wanted}”.")
    return found


class DatasetPage(ConsolePage):
    """A page about one dataset, whose id is in the address; `?branch=ID` chooses the branch.

    `action` is the right that the page asks for, `write_action` the one that a POST asks for besides.
    Sets `dataset` and `branch`.
    """

    action = Action.VIEW
    write_action: Action | None = None
    tab = ""
    dataset: Dataset
    branch: Branch

    def prepare(self, **kwargs: Any) -> None:
        dataset = get_dataset(kwargs["dataset_id"])
        self.set_place(dataset, chosen_branch(dataset, self.request.GET.get("branch")))

    def set_place(self, dataset: Dataset, branch: Branch) -> None:
        """Say which dataset and branch the page is about, and ask for the rights there."""
        self.dataset = dataset
        self.branch = branch
        require(self.person, self.action, dataset)
        if self.request.method == "POST" and self.write_action is not None:
            require(self.person, self.write_action, dataset)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        rights = dataset_context(self.person, self.dataset, self.branch, self.tab)
        return {**context, **rights, **kwargs}


@dataclass(frozen=True)
class ExtraPage:
    """A page of a dataset that an app above this one adds: its address below the dataset's, and its class."""

    address: str
    page: type[DatasetPage]


# name of the page (its URL is admin:datasets_app_dataset_NAME) → page; filled when the apps' admin modules are loaded
EXTRA_PAGES: dict[str, ExtraPage] = {}


def dataset_context(person: Any, dataset: Dataset, branch: Branch, tab: str) -> dict[str, Any]:
    """Return what datasets_app/dataset_header.html draws: name, branches, dirty marker, tabs."""
    return {
        "dataset": dataset,
        "branch": branch,
        "branches": list(dataset.branches.filter(is_closed=False)),
        "is_dirty": is_dirty(branch),
        "may": {action.value: may(person, action, dataset) for action in Action},
        "role": role_in(person, dataset),
        "tabs": _tabs(person, dataset, branch, tab),
    }


def _tabs(person: Any, dataset: Dataset, branch: Branch, active: str) -> list[dict[str, Any]]:
    tabs = []
    for tab in TABS:
        if not may(person, tab.action, dataset):
            continue
        try:
            url = branch_url(tab.url_name, dataset, branch)
        except NoReverseMatch:  # a part of the console that is not installed
            continue
        tabs.append({"title": tab.title, "url": url, "active": tab.key == active})
    return tabs

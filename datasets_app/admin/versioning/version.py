"""What any version holds: its examples, 50 a page, and one of them field by field. Nothing can be edited here."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import Any

from datasets_app.admin.example_rows import excerpt, marks_of, plain, tone
from datasets_app.admin.filters import class_of
from datasets_app.admin.versioning.page import PAGE_SIZE, VersioningPage, number
from datasets_app.admin.versioning.presentation import excerpt as any_excerpt
from datasets_app.admin.versioning.presentation import show_content
from datasets_app.admin.versioning.ref_choices import ref_choices
from datasets_app.errors import Redacted
from datasets_app.models import Branch, DatasetCommit, Example, ExampleType
from datasets_app.services.versioning.log import find_example, refs_by_commit
from datasets_app.services.versioning.reading import VersionedExample, example_at, page_at
from datasets_app.services.versioning.refs import resolve
from goldenproject.kit.admin import tell
from goldenproject.kit.errors import GoldenError


@dataclass(frozen=True)
class VersionRow:
    """A line of the list; `is_redacted` says that the version holds the example, but its content was erased."""

    uuid: uuid.UUID
    name: str
    excerpt: str
    class_value: str | None
    tone: int
    marks: list[str]
    status: str
    is_redacted: bool


class VersionPage(VersioningPage):
    """The examples that a version (`?ref=`: branch, tag, commit, HEAD~1) holds, in the order of import."""

    tab = "log"
    title = "Examples of a version"
    template_name = "datasets_app/versioning/version.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = {**super().get_context_data(**kwargs), "refs": ref_choices(self.dataset)}
        ref = wanted_ref(self)
        if self.branch.commit is None and ref == self.branch.name:
            return {**context, "ref": ref, "is_empty": True}
        try:
            commit = resolve(self.dataset, ref, head=self.branch)
        except GoldenError as error:  # what was typed stays, to be mended
            tell(self.request, error)
            return {**context, "ref": ref}
        after = number(self.request.GET.get("after"), -1)
        found = page_at(commit, after_ordinal=after, limit=PAGE_SIZE + 1)
        shown = found[:PAGE_SIZE]
        has_more = len(found) > PAGE_SIZE
        return {
            **context,
            **facts_of(commit),
            "ref": ref,
            "version_rows": version_rows(shown),
            "next": self.url("version", ref=ref, after=str(shown[-1].ordinal)) if has_more else "",
            "first_address": self.url("version", ref=ref) if after >= 0 else "",
        }


class VersionExamplePage(VersioningPage):
    """One example as a version holds it."""

    tab = "log"
    title = "Example of a version"
    template_name = "datasets_app/versioning/version_example.html"

    def prepare(self, **kwargs: Any) -> None:
        super().prepare(**kwargs)
        self.identity = find_example(self.dataset, kwargs["example_id"])
        self.commit = resolve(self.dataset, wanted_ref(self), head=self.branch)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        try:
            content = example_at(self.commit, self.identity.pk).content
        except Redacted:
            content = None
        document = content.document() if content is not None else None
        return {
            **super().get_context_data(**kwargs),
            **facts_of(self.commit),
            "ref": wanted_ref(self),
            "identity": self.identity,
            "content": content,
            "excerpt": any_excerpt(document),
            "fields": show_content(document) if document is not None else [],
            "json": json.dumps(document, ensure_ascii=False, indent=2, sort_keys=True) if document else "",
            "row": Example.objects.filter(branch=self.branch, identity=self.identity).first(),
        }


def wanted_ref(page: VersioningPage) -> str:
    """Return the ref that the address names; without one, the branch that is looked at."""
    branch: Branch = page.branch
    return page.request.GET.get("ref", "").strip() or branch.name


def facts_of(commit: DatasetCommit) -> dict[str, Any]:
    """Return the commit and its names for a page's heading."""
    branches, tags = refs_by_commit(commit.dataset)
    return {
        "commit": commit,
        "commit_branches": branches.get(commit.pk, []),
        "commit_tags": tags.get(commit.pk, []),
    }


def version_rows(examples: list[VersionedExample]) -> list[VersionRow]:
    """Return the lines for a page of examples."""
    types = {one.name: one for one in ExampleType.objects.all()}
    return [_row(example, types) for example in examples]


def _row(example: VersionedExample, types: dict[str, ExampleType]) -> VersionRow:
    content = example.content
    if content is None:
        return VersionRow(example.uuid, example.name, "", None, 0, [], "", True)
    kind = types.get(content.type)
    value = class_of(kind, content.output) if kind is not None else None
    shown = None if value is None else plain(value)
    return VersionRow(
        uuid=example.uuid,
        name=example.name,
        excerpt=excerpt(kind, content.input) if kind is not None else plain(content.input)[:240],
        class_value=shown,
        tone=tone(shown) if shown is not None else 0,
        marks=marks_of(content.labels),
        status=content.status,
        is_redacted=False,
    )

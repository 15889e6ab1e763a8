"""Tags: names for versions that never move."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import messages

from datasets_app.admin.versioning.page import VersioningPage
from datasets_app.domain.roles import Action
from datasets_app.services.versioning.refs import create_tag, delete_tag
from goldenproject.kit.errors import BadInput

SHOWN_TAGS = 200


class TagsPage(VersioningPage):
    """The tags of a dataset, newest first; make one, or delete one after it was confirmed."""

    tab = "tags"
    title = "Tags"
    template_name = "datasets_app/versioning/tags.html"
    posts: ClassVar[dict[str, Action]] = {"create": Action.TAG, "delete": Action.TAG}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        tags = list(
            self.dataset.version_tags.select_related("commit", "tagged_by").order_by("-id")[: SHOWN_TAGS + 1]
        )
        return {
            **super().get_context_data(**kwargs),
            "version_tags": tags[:SHOWN_TAGS],
            "has_more": len(tags) > SHOWN_TAGS,
            "preset_ref": self.request.GET.get("ref", ""),
            "confirm": self.request.GET.get("delete", ""),
        }

    def post_create(self) -> str:
        tag = create_tag(
            dataset=self.dataset,
            name=self.request.POST.get("name", "").strip(),
            ref=self.request.POST.get("ref", "").strip() or None,
            message=self.request.POST.get("message", "").strip(),
            actor=self.person,
            head=self.branch,
        )
        messages.success(self.request, f"Tag {tag.name} names version {tag.commit.short_hash} now.")
        return self.url("tags")

    def post_delete(self) -> str:
        name = self.request.POST.get("name", "")
        if self.request.POST.get("confirmed") != "yes":
            raise BadInput(f"Deleting the tag “{name}” was not confirmed.", hint="Tick the box, then delete.")
        delete_tag(dataset=self.dataset, name=name, actor=self.person)
        messages.success(self.request, f"Tag {name} is deleted; its version stays.")
        return self.url("tags")

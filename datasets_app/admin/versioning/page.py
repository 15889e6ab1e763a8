"""What the versioning pages share: which POST needs which right, addresses, and what the page's header adds."""

from __future__ import annotations

from typing import Any, ClassVar

from django.http import HttpRequest, HttpResponseBadRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import urlencode

from datasets_app.admin.base import DatasetPage, chosen_branch
from datasets_app.domain.roles import Action
from datasets_app.models import Branch, Dataset, Merge
from datasets_app.services.access import require
from goldenproject.kit.admin import tell
from goldenproject.kit.errors import Forbidden, GoldenError

PAGE_SIZE = 50
URL_PREFIX = "datasets_app_dataset_"


class VersioningPage(DatasetPage):
    """A page of one dataset about its versions.

    `posts` maps the value of the button `do` to the right that it needs; the method `post_<do>` does it and returns
    the address to go to. A GoldenError becomes a message over the same page, which shows what was typed (`typed`).
    """

    posts: ClassVar[dict[str, Action]] = {}

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        do = request.POST.get("do", "")
        if do not in self.posts:
            return HttpResponseBadRequest("There is no such action on this page.")
        require(self.person, self.posts[do], self.dataset)
        try:
            return HttpResponseRedirect(getattr(self, f"post_{do}")())
        except Forbidden:
            raise
        except GoldenError as error:
            return self._refused(error)

    def _refused(self, error: GoldenError) -> HttpResponseBase:
        """Show the page once more, as the data are now, with the reason and what was typed."""
        self.branch = chosen_branch(self.dataset, self.request.GET.get("branch"))
        tell(self.request, error)
        try:
            return self.render_to_response(self.get_context_data(**self.kwargs))
        except GoldenError as second:
            return self.error_page(second)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return {
            **super().get_context_data(**kwargs),
            "typed": self.request.POST,
            "open_merge": self.branch.merges.filter(state=Merge.State.OPEN).first(),
            "page_title": self.title,
            "here": self.request.get_full_path(),
        }

    def url(self, page: str, /, *args: Any, branch: Branch | None = None, **query: Any) -> str:
        """Return the address of a page of this dataset, on the same branch unless told."""
        return page_url(self.dataset, page, *args, branch=branch or self.branch, **query)


def page_url(dataset: Dataset, page: str, /, *args: Any, branch: Branch | None = None, **query: Any) -> str:
    """Return the address of a versioning page; `branch` may be left out for the default one."""
    address = reverse(f"admin:{URL_PREFIX}{page}", args=[dataset.pk, *args])
    parameters = {name: value for name, value in query.items() if value not in (None, "")}
    if branch is not None and not branch.is_default:
        parameters = {"branch": branch.pk, **parameters}
    return f"{address}?{urlencode(parameters)}" if parameters else address


def number(text: str | None, default: int) -> int:
    """Read a whole number from an address; what is none counts as `default`."""
    try:
        value = int(text or default)
    except ValueError:
        return default
    return value if -1 <= value < 2**62 else default

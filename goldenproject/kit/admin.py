"""What all admin pages share: read-only models, writes on record under a name, errors as messages, pages by key.

The rules live in services. A model admin here reads unless it says otherwise, and a GoldenError that a service raises
becomes a message on the page that the person was on; what was typed stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.contrib.admin import ShowFacets
from django.core.paginator import Page, Paginator
from django.db import connection
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.template.response import TemplateResponse
from django.views.generic import TemplateView
from unfold.admin import ModelAdmin
from unfold.views import ChangeList, UnfoldModelAdminViewMixin

from goldenproject.kit.audit import acting
from goldenproject.kit.errors import GoldenError

COUNT_LIMIT = 1000
ERROR_TEMPLATE = "admin/golden_error.html"
PAGES_TEMPLATE = "admin/keyset_pages.html"


# --- errors -------------------------------------------------------------------------------------------------------
def tell(request: HttpRequest, error: GoldenError) -> None:
    """Show an error as a message on the next page that is drawn."""
    messages.error(request, str(error))


@contextmanager
def told(request: HttpRequest) -> Iterator[None]:
    """Run the block; a GoldenError in it becomes a message."""
    try:
        yield
    except GoldenError as error:
        tell(request, error)


def error_page(request: HttpRequest, error: GoldenError, context: dict[str, Any]) -> TemplateResponse:
    """Return a page of the console that tells the error, with its HTTP status."""
    title = {403: "Not allowed", 404: "Not found"}.get(error.http_status, "This did not work")
    context = {**context, "title": title, "error": error}
    return TemplateResponse(request, ERROR_TEMPLATE, context, status=error.http_status)


# --- pages by key -------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class KeysetPage:
    """Rows of one page and the keys from which the pages beside it go on; None where there is none."""

    rows: list[Any]
    previous: Any = None
    next: Any = None


def keyset_page(
    queryset: QuerySet[Any],
    *,
    key: str,
    size: int,
    after: Any = None,
    before: Any = None,
    descending: bool = False,
) -> KeysetPage:
    """Return `size` rows behind the row whose unique `key` is `after`, or in front of `before`.

    However deep the page, the database reads `size` + 1 rows of an index that begins with what is filtered.
    """
    backwards = before is not None
    edge = before if backwards else after
    upwards = backwards == descending
    rows = queryset.order_by(key if upwards else f"-{key}")
    if edge is not None:
        rows = rows.filter(**{f"{key}__{'gt' if upwards else 'lt'}": edge})
    found = list(rows[: size + 1])
    more = len(found) > size
    found = found[:size]
    if backwards:
        found.reverse()
    has_previous = more if backwards else edge is not None
    has_next = True if backwards else more
    return KeysetPage(
        found,
        previous=getattr(found[0], key) if found and has_previous else None,
        next=getattr(found[-1], key) if found and has_next else None,
    )


def estimated_rows(table: str) -> int:
    """Return about how many rows a table has, from the statistics of the database: no scan."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = %s::regclass", [table]
        )
        return int(cursor.fetchone()[0])


def capped_count(queryset: QuerySet[Any], limit: int = COUNT_LIMIT) -> int:
    """Count rows, but no further than `limit` + 1."""
    return queryset.order_by()[: limit + 1].count()


class KeysetPaginator(Paginator):  # type: ignore[type-arg]
    """Stands where the admin wants a paginator; it never counts."""

    template_name = PAGES_TEMPLATE

    @property
    def count(self) -> int:  # type: ignore[override]
        return 0

    def page(self, number: Any) -> Page[Any]:
        return Page([], 1, self)


class PlainChangeList(ChangeList):  # type: ignore[misc]
    """A list that does not offer to “show all” of what it did not count."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.full_result_count = self.result_count


class KeysetChangeList(ChangeList):
    """A list, newest first, whose pages cost the same however deep they are and however many rows there are."""

    def get_filters_params(self, params: Any = None) -> dict[str, Any]:
        found: dict[str, Any] = super().get_filters_params(params)
        return {name: value for name, value in found.items() if name not in ("after", "before")}

    def get_results(self, request: HttpRequest) -> None:
        page = keyset_page(
            self.queryset,
            key="pk",
            size=self.list_per_page,
            after=self._edge(request, "after"),
            before=self._edge(request, "before"),
            descending=True,
        )
        self.keyset = page
        self.is_filtered = bool(self.query or self.has_active_filters)
        self.result_count = (
            capped_count(self.queryset) if self.is_filtered else estimated_rows(self.model._meta.db_table)
        )
        if page.previous is None and page.next is None:
            self.result_count = len(page.rows)
        self.count_is_capped = self.is_filtered and self.result_count > COUNT_LIMIT
        self.full_result_count = self.result_count
        self.show_full_result_count = False
        self.show_admin_actions = bool(page.rows)
        self.result_list = page.rows
        self.can_show_all = False
        self.multi_page = page.previous is not None or page.next is not None
        self.paginator = KeysetPaginator(page.rows, self.list_per_page)
        self.newer_url = self._page_url("before", page.previous)
        self.older_url = self._page_url("after", page.next)

    def _edge(self, request: HttpRequest, name: str) -> Any:
        value = request.GET.get(name)
        if not value:
            return None
        try:
            return self.model._meta.pk.to_python(value)
        except Exception:  # a hand-made address: the first page is the answer
            return None

    def _page_url(self, name: str, edge: Any) -> str:
        if edge is None:
            return ""
        other = "after" if name == "before" else "before"
        return str(self.get_query_string({name: edge}, [other]))


# --- model admins -------------------------------------------------------------------------------------------------
class ConsoleAdmin(ModelAdmin):  # type: ignore[misc]
    """A model in the console: read-only unless a subclass allows more; writes are on record under the user's name.

    A GoldenError in `save_model` or below becomes an error of the form, and the form keeps what was typed.
    """

    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    list_per_page = 50
    sortable_by: tuple[str, ...] = ()
    actions: Any = None
    list_filter_submit = True

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return PlainChangeList

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: Any = None,
    ) -> HttpResponseBase:
        if request.method != "POST":
            return super().changeform_view(request, object_id, form_url, extra_context)  # type: ignore[no-any-return]
        try:
            with acting(request.user):
                return super().changeform_view(request, object_id, form_url, extra_context)  # type: ignore[no-any-return]
        except GoldenError as error:
            # the same form once more, now invalid: nothing is saved, and nothing of what was typed is lost
            request.golden_error = error  # type: ignore[attr-defined]
            return super().changeform_view(request, object_id, form_url, extra_context)  # type: ignore[no-any-return]

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)
        error = getattr(request, "golden_error", None)
        return form if error is None else _refusing(form, error)

    # The change log of a row is written by the database's triggers; a second one would only say less.
    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> None: ...

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> None: ...

    def log_deletions(self, request: HttpRequest, queryset: Any) -> None: ...


def _refusing(form: Any, error: GoldenError) -> Any:
    def clean(self: Any) -> Any:
        cleaned = form.clean(self)
        self.add_error(None, str(error))
        return cleaned

    refusing = type(form.__name__, (form,), {"clean": clean})
    return refusing


class LedgerAdmin(ConsoleAdmin):
    """A list that only grows: read-only, newest first, in pages by key."""

    ordering = ("-pk",)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return KeysetChangeList


def _drawn(response: Any) -> HttpResponseBase:
    """Draw a page now: a template that asks the database may meet an error, which must still be told."""
    drawn: HttpResponseBase = response.render() if isinstance(response, TemplateResponse) else response
    return drawn


# --- pages of one's own -------------------------------------------------------------------------------------------
class ConsolePage(UnfoldModelAdminViewMixin, TemplateView):  # type: ignore[misc]
    """A page inside the admin. Subclasses set `title` and `template_name`, load and ask for rights in `prepare`,
    and write in `post`. A GoldenError in `prepare`, or in a GET, is told on a page of its own with its status; in a POST
    it becomes a message over the same page, drawn again by `get`, which takes what was typed from `request.POST`.
    """

    title = ""
    permission_required = ()

    def has_permission(self) -> bool:
        return True  # `admin_view` lets in only staff; what they may do here is asked in `prepare`

    def prepare(self, **kwargs: Any) -> None:
        """Load what the page is about and require the right to see it."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            self.prepare(**kwargs)
        except GoldenError as error:
            return self.error_page(error)
        try:
            return _drawn(super().dispatch(request, *args, **kwargs))
        except GoldenError as error:
            if request.method != "POST" or error.http_status in (403, 404):
                return self.error_page(error)
            tell(request, error)
        try:
            return _drawn(self.get(request, *args, **kwargs))
        except GoldenError as error:  # what was sent is so wrong that the page cannot be drawn with it
            return self.error_page(error)

    def error_page(self, error: GoldenError) -> HttpResponseBase:
        return error_page(self.request, error, self.model_admin.admin_site.each_context(self.request))

    @property
    def person(self) -> Any:
        """The user who is signed in: the actor of every service that this page calls."""
        return self.request.user

"""The models of the corpus in the console: Django's addresses, served by pages of our own."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import URLPattern, path, reverse

from datasets_app.admin.corpus.base import CorpusAdmin
from datasets_app.admin.corpus.chunk import ChunkPage
from datasets_app.admin.corpus.chunk_edit import ChunksPage
from datasets_app.admin.corpus.history import PartHistoryPage, SourceHistoryPage
from datasets_app.admin.corpus.list_pages import ChunkListPage, QueryListPage, SourceListPage
from datasets_app.admin.corpus.query import AddQueryPage, ExpectRowPage, FindChunksPage, QueryPage
from datasets_app.admin.corpus.source import AddSourcePage, SourceOverviewPage
from datasets_app.admin.corpus.source_parts import ArtifactPage, FindingsPage
from datasets_app.models import Chunk, TestQuery
from goldenproject.kit.admin import ConsolePage


class PagesAdmin(CorpusAdmin):
    """Serves Django's addresses of a model by pages. What a model has not leads to what it has."""

    list_page: type[ConsolePage]
    change_page: type[ConsolePage]
    history_page: type[ConsolePage]
    add_page: type[ConsolePage] | None = None
    # address below the object's, name → page
    parts: tuple[tuple[str, type[ConsolePage]], ...] = ()
    # address below the model's, name → piece of a page
    pieces: tuple[tuple[str, type[ConsolePage]], ...] = ()

    def _page(self, page: type[ConsolePage], request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
        return page.as_view(model_admin=self)(request, **kwargs)  # type: ignore[no-any-return]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponseBase:
        return self._page(self.list_page, request)

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponseBase:
        if self.add_page is None:
            return HttpResponseRedirect(reverse(f"admin:{self._url_name('changelist')}"))
        return self._page(self.add_page, request)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponseBase:
        return self._page(self.change_page, request, object_id=object_id)

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: Any = None
    ) -> HttpResponseBase:
        return HttpResponseRedirect(reverse(f"admin:{self._url_name('change')}", args=[object_id]))

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: Any = None
    ) -> HttpResponseBase:
        return self._page(self.history_page, request, object_id=object_id)

    def _url_name(self, name: str) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_{name}"

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            *(
                path(f"{name}/", wrap(page.as_view(model_admin=self)), name=self._url_name(name))
                for name, page in self.pieces
            ),
            *(
                path(
                    f"<uuid:object_id>/{name}/",
                    wrap(page.as_view(model_admin=self)),
                    name=self._url_name(name),
                )
                for name, page in self.parts
            ),
            *super().get_urls(),
        ]


class AnalysisAdmin(PagesAdmin):
    list_page = SourceListPage
    add_page = AddSourcePage
    change_page = SourceOverviewPage
    history_page = SourceHistoryPage
    parts = (("chunks", ChunksPage), ("findings", FindingsPage), ("artifact", ArtifactPage))


class ChunkHistoryPage(PartHistoryPage):
    model = Chunk
    url_name = "admin:datasets_app_chunk_change"


class ChunkAdmin(PagesAdmin):
    list_page = ChunkListPage
    change_page = ChunkPage
    history_page = ChunkHistoryPage


class QueryHistoryPage(PartHistoryPage):
    model = TestQuery
    url_name = "admin:datasets_app_testquery_change"


class TestQueryAdmin(PagesAdmin):
    __test__ = False

    list_page = QueryListPage
    add_page = AddQueryPage
    change_page = QueryPage
    history_page = QueryHistoryPage
    pieces = (("find", FindChunksPage), ("expect", ExpectRowPage))

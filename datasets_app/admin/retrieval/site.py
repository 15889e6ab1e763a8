"""Runs and embedding models in the console: Django's addresses, served by pages of our own."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import URLPattern, path, reverse

from datasets_app.admin.corpus.site import PagesAdmin
from datasets_app.admin.retrieval.comparison import ComparisonPage
from datasets_app.admin.retrieval.downloads import RunDownload
from datasets_app.admin.retrieval.embedding_models import (
    CoveragePiece,
    DeleteModelPage,
    ModelListPage,
    ModelPage,
    RegisterModelPage,
    SwitchModelPage,
)
from datasets_app.admin.retrieval.run import RunPage, RunQueriesPage
from datasets_app.admin.retrieval.run_list import RunListPage
from datasets_app.admin.retrieval.start import StartRunPage
from datasets_app.domain.roles import Action
from datasets_app.services.access import may
from goldenproject.kit.admin import ConsolePage


class NumberedPagesAdmin(PagesAdmin):
    """As PagesAdmin, for models whose key is a number; they have no history of their own."""

    numbered: tuple[tuple[str, type[ConsolePage]], ...] = ()

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: Any = None
    ) -> HttpResponseBase:
        return HttpResponseRedirect(reverse(f"admin:{self._url_name('change')}", args=[object_id]))

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        pages = [
            path(f"<int:object_id>/{name}/", wrap(page.as_view(model_admin=self)), name=self._url_name(name))
            for name, page in self.numbered
        ]
        return [*pages, *super().get_urls()]


class RetrievalRunAdmin(NumberedPagesAdmin):
    list_page = RunListPage
    add_page = StartRunPage
    change_page = RunPage
    pieces = (("compare", ComparisonPage),)
    numbered = (("queries", RunQueriesPage), ("download", RunDownload))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class EmbeddingModelAdmin(NumberedPagesAdmin):
    list_page = ModelListPage
    add_page = RegisterModelPage
    change_page = ModelPage
    numbered = (("coverage", CoveragePiece), ("switch", SwitchModelPage), ("delete", DeleteModelPage))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return may(request.user, Action.MANAGE)

"""Help in the console: the pages of the guide, with a table of contents."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import FileResponse, HttpRequest, HttpResponseBase
from django.urls import URLPattern, path, reverse

from datasets_app.models import Dataset
from goldenproject.kit.admin import ConsolePage
from goldenproject.kit.guide import guide_file, guide_page, guide_pages, render


def page_url(name: str) -> str:
    return reverse("help_page", args=[name])


def file_url(name: str) -> str:
    return reverse("help_file", args=[name])


class HelpPage(ConsolePage):
    """A page of the guide; the first one when none is named. Everybody who may enter the console may read it."""

    template_name = "datasets_app/help/page.html"

    def prepare(self, **kwargs: Any) -> None:
        self.pages = guide_pages()
        self.page = guide_page(kwargs["name"]) if "name" in kwargs else self.pages[0]
        self.title = self.page.title

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        rendered = render(self.page, page_url=page_url, file_url=file_url)
        # without a model, so that the line at the top does not say that this is one of the datasets
        return {**context, "model_admin": None, "pages": self.pages, "page": self.page, "rendered": rendered}


class HelpFile(ConsolePage):
    """A picture of the guide, or a program that it tells about."""

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:  # type: ignore[override]
        file = guide_file(kwargs["name"])
        kind = "image/png" if file.suffix == ".png" else "text/plain; charset=utf-8"
        return FileResponse(file.open("rb"), content_type=kind)


def help_urls() -> list[URLPattern]:
    """Return the addresses of Help, for the project's urls."""
    wrap = admin.site.admin_view
    # any model's admin lends its frame: Help has no model of its own
    model_admin = admin.site.get_model_admin(Dataset)
    page = wrap(HelpPage.as_view(model_admin=model_admin))
    return [
        path("admin/help/", page, name="help"),
        path("admin/help/<slug:name>/", page, name="help_page"),
        path(
            "admin/help/files/<path:name>",
            wrap(HelpFile.as_view(model_admin=model_admin)),
            name="help_file",
        ),
    ]

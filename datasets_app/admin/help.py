"""Help in the console: the pages of the guide, with a table of contents."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import FileResponse, HttpRequest, HttpResponseBase
from django.urls import URLPattern, path, reverse

from datasets_app.models import Dataset
from goldenproject.kit.admin import ConsolePage
from goldenproject.kit.guide import guide_image, guide_page, guide_pages, render


def page_url(name: str) -> str:
    return reverse("help_page", args=[name])


def image_url(name: str) -> str:
    return reverse("help_image", args=[name])


class HelpPage(ConsolePage):
    """A page of the guide; the first one when none is named. Everybody who may enter the console may read it."""

    template_name = "datasets_app/help/page.html"

    def prepare(self, **kwargs: Any) -> None:
        self.pages = guide_pages()
        self.page = guide_page(kwargs["name"]) if "name" in kwargs else self.pages[0]
        self.title = self.page.title

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        rendered = render(self.page, page_url=page_url, image_url=image_url)
        return {**context, "pages": self.pages, "page": self.page, "rendered": rendered}


class HelpImage(ConsolePage):
    """A picture of the guide."""

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:  # type: ignore[override]
        return FileResponse(guide_image(kwargs["name"]).open("rb"), content_type="image/png")


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
            "admin/help/images/<str:name>",
            wrap(HelpImage.as_view(model_admin=model_admin)),
            name="help_image",
        ),
    ]
